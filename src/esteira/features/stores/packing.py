"""Keys and rows as bytes, for stores that keep bytes.

key   a tag, then the view's name and each part of the key with its length before it, so that no two keys
      have the same bytes; one that is too long for the store is named by its SHA-256 instead
row   event time, created time, sequence (int64), a bit for each value that is there, the values (float64);
      all little-endian
"""

from __future__ import annotations

import struct
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from esteira.features.stores.port import StoredRow

if TYPE_CHECKING:
    from esteira.features.latest import LatestRows

_PLAIN, _HASHED, _LAYOUT = b"\x00", b"\x01", b"\x02"
_VERSION = struct.Struct("<qqq")
_length = struct.Struct("<I").pack


def pack_key(view_name: str, key: tuple[str, ...], limit: int) -> bytes:
    """The bytes of a key, at most `limit` of them (which is at least 33).

    >>> pack_key("v", ("ab", "c"), 511) == pack_key("v", ("a", "bc"), 511)
    False
    """
    parts = [_view_prefix(view_name)]
    for text in key:
        part = text.encode("utf-8", "surrogatepass")
        parts += (_length(len(part)), part)
    packed = b"".join(parts)
    return packed if len(packed) <= limit else _HASHED + sha256(packed).digest()


@cache
def _view_prefix(view_name: str) -> bytes:
    name = view_name.encode()
    return _PLAIN + _length(len(name)) + name


def pack_layout_key(view_name: str, limit: int) -> bytes:
    """Where a store keeps the layout of a view."""
    packed = _LAYOUT + view_name.encode()
    return packed if len(packed) <= limit else _LAYOUT + sha256(packed).digest()


def pack_rows(latest: LatestRows) -> list[bytes]:
    """The bytes of each row."""
    count, width = latest.values.shape
    bits = np.packbits(latest.present, axis=1, bitorder="little")
    kind = np.dtype([("v", "<i8", (3,)), ("b", "u1", (bits.shape[1],)), ("x", "<f8", (width,))])
    rows = np.empty(count, kind)
    rows["v"] = np.stack([latest.event, latest.created, latest.sequence], axis=1)
    rows["b"], rows["x"] = bits, latest.values
    packed, size = rows.tobytes(), kind.itemsize
    return [packed[at : at + size] for at in range(0, count * size, size)]


def version_of(row: bytes) -> tuple[int, int, int]:
    """(event time, created time, sequence) of a packed row: the greater is the newer truth."""
    event, created, sequence = _VERSION.unpack_from(row)
    return event, created, sequence


def unpack_row(row: bytes) -> StoredRow:
    """A packed row as it was."""
    shape, full = _shape(len(row))
    cells = shape.unpack(row)
    values = cells[4:]
    if cells[3] != full:
        there = int.from_bytes(cells[3], "little")
        values = tuple(value if there >> at & 1 else None for at, value in enumerate(values))
    return StoredRow(cells[0], cells[1], values)


@cache
def _shape(size: int) -> tuple[struct.Struct, bytes]:
    """How a row of that many bytes is laid out, and its bits when no value is null."""
    body = size - _VERSION.size
    width = body * 8 // 65  # a value takes 64 bits and one more
    mask = body - 8 * width
    return struct.Struct(f"<qqq{mask}s{width}d"), (2**width - 1).to_bytes(mask, "little")
