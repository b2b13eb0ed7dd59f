"""What passes between a gateway and the process of a model: a kind, a length, and that many bytes.

Rows travel column by column as raw float64, tensors as raw bytes with datatype and shape, words as JSON: to
make an Arrow array would load pandas into the gateway, where pandas is installed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from esteira.base.errors import BadInput
from esteira.serving.tensors import datatype_of, from_raw, to_raw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.registry.columns import Column

HEADER = struct.Struct("<cQ")
LARGEST = 1024**3  # bytes of one frame

DESCRIBE = "describe"  # to the process instead of a deadline: say what the MLmodel says, and end
ROWS, TENSORS = b"R", b"T"  # questions; an answer of tensors is TENSORS too
READY = b"Y"  # the model is loaded: JSON of what it asks for
SCORES = b"S"  # one float64 a row
REFUSED = b"X"  # the model raised: JSON of the reason and of its trace
UNUSABLE = b"U"  # the model answered what is no answer: JSON of what it was

_RawColumns = list[tuple[str, bytes, tuple[str, ...] | None]]
_RawTensors = list[tuple[str, str, tuple[int, ...], bytes]]


class MalformedFrame(BadInput):
    """Bytes that are not what the kind of their frame says."""

    def __init__(self, kind: bytes, reason: str) -> None:
        super().__init__(f"a frame of kind {kind!r} that cannot be read: {reason}")
        self.kind, self.reason = kind, reason


def framed(kind: bytes, content: bytes) -> bytes:
    """A frame as it is written. Raises: BadInput (more than fits)."""
    if len(content) > LARGEST:
        raise BadInput(f"{len(content):,} bytes for one call; the limit is {LARGEST:,}: send fewer rows")
    return HEADER.pack(kind, len(content)) + content


def pack_rows(columns: Sequence[Column], matrix: NDArray[np.float64]) -> bytes:
    """A matrix of shape (rows, columns), column by column; that of a category brings its texts."""
    packed = [
        (
            column.name,
            matrix[:, at].astype("<f8").tobytes(),
            column.categories if column.kind == "category" else None,
        )
        for at, column in enumerate(columns)
    ]
    return msgspec.msgpack.encode(packed)


def unpack_rows(content: bytes) -> dict[str, NDArray[Any]]:
    """Columns of shape (rows,) by name: numbers as float64, a category as its texts, None when missing.

    Raises: MalformedFrame.
    """
    try:
        packed = msgspec.msgpack.decode(content, type=_RawColumns)
        columns = {name: _column(raw, categories) for name, raw, categories in packed}
    except (msgspec.MsgspecError, ValueError) as wrong:
        raise MalformedFrame(ROWS, str(wrong)) from wrong
    if len({len(values) for values in columns.values()}) != 1 or len(columns) != len(packed):
        raise MalformedFrame(ROWS, "columns of one name or of different lengths")
    return columns


def _column(raw: bytes, categories: tuple[str, ...] | None) -> NDArray[Any]:
    values = np.frombuffer(raw, dtype="<f8")
    if categories is None:
        return values
    is_code = (values >= 0) & (values < len(categories)) & (values == np.floor(values))
    texts = np.array([*categories, None], dtype=object)
    return texts[np.where(is_code, values, len(categories)).astype(np.intp)]


def pack_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Tensors with their names. Raises: MalformedTensor (of a dtype that the protocol does not know)."""
    raw = [(name, datatype_of(each), each.shape, to_raw(each)) for name, each in tensors.items()]
    return msgspec.msgpack.encode(raw)


def unpack_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """The inverse of `pack_tensors`; arrays may be read-only. Raises: MalformedFrame."""
    try:
        raw = msgspec.msgpack.decode(content, type=_RawTensors)
        return {name: from_raw(datatype, shape, held) for name, datatype, shape, held in raw}
    except (msgspec.MsgspecError, BadInput) as wrong:
        raise MalformedFrame(TENSORS, str(wrong)) from wrong


def unpack_scores(content: bytes) -> NDArray[np.float64]:
    """The scores in a frame, shape (rows,). Raises: MalformedFrame."""
    if len(content) % 8:
        raise MalformedFrame(SCORES, f"{len(content)} bytes")
    return np.frombuffer(content, dtype="<f8").astype(np.float64)
