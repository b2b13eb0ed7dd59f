"""Tensors as raw bytes, the form that gRPC and the binary extension of HTTP share.

Row-major and little-endian; BOOL is one byte, a BYTES element is its length in 4 bytes and then its text.
Source: Open Inference Protocol v2, tensor data; Triton's binary tensor data extension.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput
from esteira.registry.tensors import DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

TEXT = "BYTES"
_MOST_DIMENSIONS = 32  # that every NumPy holds
_LARGEST = 2**62  # elements, far above any message, far below what overflows

_LITTLE: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(kind).newbyteorder("<") for name, kind in DTYPES.items() if name != TEXT
}
_DATATYPES = {np.dtype(kind): name for name, kind in DTYPES.items()}
_LENGTH = struct.Struct("<I")


class MalformedTensor(BadInput):
    """Bytes that are not the tensor that its datatype and shape say; who knows its name adds that."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"a tensor must be {expected}, found {found}")
        self.expected, self.found = expected, found


def count_of(datatype: str, shape: Sequence[int]) -> int:
    """The number of elements of a shape. Raises: MalformedTensor (no such datatype, no such shape).

    >>> count_of("FP32", (2, 3))
    6
    """
    if datatype not in DTYPES:
        raise MalformedTensor(f"of datatype {', '.join(DTYPES)}", repr(datatype[:40]))
    if len(shape) > _MOST_DIMENSIONS or any(size < 0 or size > _LARGEST for size in shape):
        raise MalformedTensor(
            f"of at most {_MOST_DIMENSIONS} dimensions, none negative", f"shape {[*shape[:40]]}"
        )
    return math.prod(shape)


def from_raw(datatype: str, shape: Sequence[int], raw: bytes) -> NDArray[Any]:
    """The tensor in raw bytes, without a copy where NumPy needs none: it may be read-only.

    Texts become `str` in an array of objects. Raises: MalformedTensor, which says the length that was
    expected.
    >>> from_raw("FP32", (2,), bytes.fromhex("0000803f 00000040")).tolist()
    [1.0, 2.0]
    """
    count = count_of(datatype, shape)
    if datatype == TEXT:
        flat: NDArray[Any] = _texts(raw, count)
    else:
        kind = _LITTLE[datatype]
        if len(raw) != count * kind.itemsize:
            expected = f"{count * kind.itemsize} bytes, {count} elements of {datatype}"
            raise MalformedTensor(expected, str(len(raw)))
        flat = np.frombuffer(raw, np.uint8) if datatype == "BOOL" else np.frombuffer(raw, kind)
        if datatype == "BOOL":
            flat = _flags(flat)
        elif not kind.isnative:
            flat = flat.astype(kind.newbyteorder("="))
    return shaped(flat, shape)


def shaped(flat: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Elements in their shape. Raises: MalformedTensor."""
    try:
        return flat.reshape(tuple(shape))
    except (ValueError, OverflowError) as wrong:  # (0, 2**62): no elements, and still too large for an array
        raise MalformedTensor("of a shape that holds its elements", f"shape {[*shape[:40]]}") from wrong


def to_raw(array: NDArray[Any]) -> bytes:
    """The raw bytes of a tensor, of any byte order and layout in memory. Raises: MalformedTensor.

    >>> to_raw(np.array([[1, 2]], dtype="int16")).hex()
    '01000200'
    """
    if datatype_of(array) != TEXT:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    parts = []
    for each in array.ravel().tolist():
        text = each if isinstance(each, bytes) else str(each).encode("utf-8", "replace")
        parts += [_LENGTH.pack(len(text)), text]
    return b"".join(parts)


def datatype_of(array: NDArray[Any]) -> str:
    """The protocol's name of an array's dtype. Raises: MalformedTensor (of no dtype that it knows).

    >>> datatype_of(np.zeros(2, "float32")), datatype_of(np.array(["UA"]))
    ('FP32', 'BYTES')
    """
    if array.dtype.kind in "OUS":
        return TEXT
    found = _DATATYPES.get(array.dtype.newbyteorder("="))
    if found is None:
        raise MalformedTensor(f"of dtype {', '.join(map(str, _DATATYPES))}", str(array.dtype))
    return found


def _flags(raw: NDArray[np.uint8]) -> NDArray[np.bool_]:
    if raw.size and raw.max() > 1:
        raise MalformedTensor("of bytes 0 and 1, as BOOL has them", f"a byte {raw.max()}")
    return raw.view(np.bool_)


def _texts(raw: bytes, count: int) -> NDArray[np.object_]:
    if count * _LENGTH.size > len(raw):
        expected = f"at least {count * _LENGTH.size} bytes, {count} elements of BYTES with their lengths"
        raise MalformedTensor(expected, str(len(raw)))
    found: list[str] = []
    at = 0
    while at < len(raw) and len(found) < count:
        start = at + _LENGTH.size
        at = start + (_LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else 0)
        if start > len(raw) or at > len(raw):
            raise MalformedTensor(
                "BYTES elements of the lengths that they say", f"an end in element {len(found)}"
            )
        found.append(text_of(raw[start:at]))
    if len(found) != count or at != len(raw):
        raise MalformedTensor(f"{count} elements of BYTES", f"{len(found)} and {len(raw) - at} bytes more")
    return as_objects(found)


def text_of(element: bytes) -> str:
    """An element of BYTES as text. Raises: MalformedTensor."""
    try:
        return element.decode()
    except UnicodeDecodeError as wrong:
        raise MalformedTensor("of texts in UTF-8", f"the bytes {element[:20]!r}") from wrong


def as_objects(texts: Sequence[str]) -> NDArray[np.object_]:
    """Texts as the array that a model of tensors takes, shape (len(texts),)."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array
