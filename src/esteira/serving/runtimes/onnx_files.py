"""What an ONNX model is made of: its operators, and other files, which ONNX Runtime would open anywhere.

Only the tree of messages is walked, weights are skipped, so that a model of gigabytes costs milliseconds.
Source: onnx.proto3 of ONNX 1.17; Protocol Buffers, encoding of the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import CorruptArtifact

if TYPE_CHECKING:
    from collections.abc import Iterator

PAYLOAD = "model.onnx"

# Message → its fields that hold messages, in which tensors can stand.
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {4: "operator", 5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_DEEPEST = 64
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}  # wire type → bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """The operators of a graph and of its functions, and the files outside that its tensors name."""

    operators: frozenset[str]
    outside: tuple[str, ...]


def contents_of(content: bytes) -> Contents:
    """Walk a model. Raises: CorruptArtifact."""
    try:
        found = [*_walk(memoryview(content), "model", 0)]
    except (IndexError, ValueError) as broken:
        raise CorruptArtifact(PAYLOAD, "a whole ONNX model", str(broken)) from broken
    operators = frozenset(text for kind, text in found if kind == "operator")
    return Contents(operators, tuple(text for kind, text in found if kind == "entry"))


def _walk(message: memoryview, kind: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        raise ValueError(f"graphs inside graphs, deeper than {_DEEPEST}")
    inside = _INSIDE[kind]
    for field, part in _parts(message):
        within = inside.get(field)
        if within == "operator":
            yield within, _text(part)
        elif within == "entry":
            yield within, " ".join(_text(text) for _, text in _parts(part))
        elif within:
            yield from _walk(part, within, depth + 1)


def _text(part: memoryview) -> str:
    return bytes(part).decode(errors="replace")


def _parts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that have a length, by number."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag >> 32:  # a reader that drops the upper bits would see another field than we do
            raise ValueError(f"a field has the number {tag >> 3}")
        wire = tag & 7
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError(f"{length} bytes wanted, {len(message) - at} left")
            yield tag >> 3, message[at : at + length]
            at += length
        elif wire in _FIXED:
            at += _FIXED[wire]
        else:
            raise ValueError(f"a field of wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
