"""Keys, rows and layouts as bytes, for stores that keep bytes.

key     a tag, then the view's name and each part of the key with its length before it, so that no two keys
        have the same bytes; one that is too long for the store is named by its SHA-256 instead
row     event time, created time, sequence (int64), a bit for each value that is there, the values (float64)
mixed   a row with texts: the times, the number of features (uint32), a bit for each that is text, a bit for
        each that is there, the numbers (float64), the length of each text (uint32), the texts (UTF-8); one
        byte more if it would be as long as some row of numbers
layout  JSON

All is little-endian. The bytes alone say which form a row has, so a feature that was only null before may
become text, and rows stay readable whatever came after them.
"""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from esteira.features.stores.port import Layout, StoredRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from esteira.features.latest import LatestRows

_PLAIN, _HASHED, LAYOUTS = b"\x00", b"\x01", b"\x02"  # what a key begins with
_VERSION = struct.Struct("<qqq")
_FORM = struct.Struct("<qqqI")
_length = struct.Struct("<I").pack
_new_row = tuple.__new__  # what StoredRow() does, at half its price


def pack_keys(lookups: Iterable[tuple[str, tuple[str, ...]]], limit: int) -> list[bytes]:
    """The bytes of each (view, key), at most `limit` of them (which is at least 33).

    Neighbours that ask several views about one entity share the work.
    >>> len({*pack_keys([("v", ("ab", "c")), ("v", ("a", "bc"))], 511)})
    2
    """
    found, last, tail = [], None, b""
    for view_name, key in lookups:
        if key is not last:
            last, tail = key, _pack_parts(key)
        packed = _view_prefix(view_name) + tail
        found.append(packed if len(packed) <= limit else _HASHED + sha256(packed).digest())
    return found


def _pack_parts(key: tuple[str, ...]) -> bytes:
    parts: list[bytes] = []
    for text in key:
        part = text.encode("utf-8", "surrogatepass")
        parts += (_length(len(part)), part)
    return b"".join(parts)


@cache
def _view_prefix(view_name: str) -> bytes:
    name = view_name.encode()
    return _PLAIN + _length(len(name)) + name


def pack_layout_key(view_name: str, limit: int) -> bytes:
    """Where a store keeps the layout of a view."""
    packed = LAYOUTS + view_name.encode()
    return packed if len(packed) <= limit else LAYOUTS + sha256(packed).digest()


def pack_layout(view_name: str, layout: Layout) -> bytes:
    """The bytes of a layout, with the name of its view for those who find it under a digest."""
    return msgspec.json.encode({"view": view_name, **msgspec.to_builtins(layout)})


def unpack_layout(packed: bytes) -> Layout:
    """A packed layout as it was; one of the time before kinds is of numbers."""
    return msgspec.json.decode(packed, type=Layout)


def unpack_layouts(packed: Iterable[tuple[bytes, bytes]]) -> dict[str, Layout]:
    """Layouts by view name, from the places and bytes that a store keeps."""
    found = {}
    for place, layout in packed:
        name = msgspec.json.decode(layout).get("view") or place[len(LAYOUTS) :].decode()
        found[name] = unpack_layout(layout)
    return found


def pack_rows(latest: LatestRows) -> list[bytes]:
    """The bytes of each row."""
    count, width = latest.numbers.shape
    is_text = np.array([kind == "text" for kind in latest.kinds])
    bits = np.packbits(latest.present, axis=1, bitorder="little")
    texts = [[(cell or "").encode() for cell in column] for column in latest.texts]
    form = [("n", "<u4"), ("t", "u1", bits.shape[1:])] if texts else []
    lengths = [("l", "<u4", (len(texts),))] if texts else []
    kind = np.dtype(
        [("v", "<i8", (3,)), *form, ("b", "u1", bits.shape[1:]), ("x", "<f8", (width,)), *lengths]
    )
    rows = np.empty(count, kind)
    rows["v"] = np.stack([latest.event, latest.created, latest.sequence], axis=1)
    rows["b"], rows["x"] = bits, latest.numbers
    if texts:
        rows["n"], rows["t"] = len(is_text), np.packbits(is_text, bitorder="little")
        rows["l"] = np.array([[len(cell) for cell in column] for column in texts]).T
    packed, size = rows.tobytes(), kind.itemsize
    fixed = [packed[at : at + size] for at in range(0, count * size, size)]
    return [_mixed(parts) for parts in zip(fixed, *texts, strict=True)] if texts else fixed


def _mixed(parts: tuple[bytes, ...]) -> bytes:
    row = b"".join(parts)
    return row if _shape(len(row)) is None else row + b"\x00"


def version_of(row: bytes) -> tuple[int, int, int]:
    """(event time, created time, sequence) of a packed row: the greater is the newer truth."""
    event, created, sequence = _VERSION.unpack_from(row)
    return event, created, sequence


def unpack_rows(packed: Iterable[bytes | None]) -> list[StoredRow | None]:
    """Packed rows as they were; None stays None."""
    found: list[StoredRow | None] = []
    add, size, shape = found.append, -1, None
    for row in packed:
        if row is None:
            add(None)
            continue
        if len(row) != size:  # neighbours often are alike
            size = len(row)
            shape = _shape(size)
        if shape is None:
            add(_unpack_mixed(row))
            continue
        cells = shape[0](row)
        values = cells[3:] if cells[2] == shape[1] else _with_nulls(cells[3:], cells[2])
        add(_new_row(StoredRow, (cells[0], cells[1], values)))
    return found


@lru_cache(maxsize=1024)
def _shape(size: int) -> tuple[Callable[[bytes], tuple[Any, ...]], bytes] | None:
    """What unpacks a row of that many bytes, and its bits when no value is null; None if it is mixed."""
    body = size - _VERSION.size
    width = body * 8 // 65  # a value takes 64 bits and one more
    mask = body - 8 * width
    if not width or mask != (width + 7) // 8:
        return None
    return struct.Struct(f"<qq8x{mask}s{width}d").unpack, (2**width - 1).to_bytes(mask, "little")


def _unpack_mixed(row: bytes) -> StoredRow:
    event_us, created_us, _, count = _FORM.unpack_from(row)
    start = _FORM.size + (count + 7) // 8
    shape, texts, in_order = _mixed_shape(count, row[_FORM.size : start])
    there, *cells = shape.unpack_from(row, start)
    at = start + shape.size
    for place in range(len(cells) - texts, len(cells)):
        end = at + cells[place]
        cells[place] = row[at:end].decode()
        at = end
    return StoredRow(event_us, created_us, _with_nulls(in_order(cells), there))


@lru_cache(maxsize=1024)
def _mixed_shape(
    count: int, text_bits: bytes
) -> tuple[struct.Struct, int, Callable[[list[Any]], tuple[Any, ...]]]:
    """What follows the form of a mixed row, how many texts it ends with, and what puts cells in order."""
    is_text = [bool(int.from_bytes(text_bits, "little") >> at & 1) for at in range(count)]
    stored = sorted(range(count), key=is_text.__getitem__)  # the feature at each place
    places = sorted(range(count), key=stored.__getitem__)
    texts = sum(is_text)
    in_order = itemgetter(*places) if count > 1 else tuple
    return struct.Struct(f"<{len(text_bits)}s{count - texts}d{texts}I"), texts, in_order


def _with_nulls(values: tuple[Any, ...], bits: bytes) -> tuple[Any, ...]:
    there = int.from_bytes(bits, "little")
    return tuple(value if there >> at & 1 else None for at, value in enumerate(values))
