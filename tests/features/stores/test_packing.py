"""Keys and rows as bytes and back."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.features.latest import LatestRows
from esteira.features.stores.packing import pack_key, pack_layout_key, pack_rows, unpack_row, version_of
from esteira.features.stores.port import StoredRow

names = st.sampled_from(["v", "vv", "w"])
texts = st.text(max_size=3) | st.sampled_from(["a" * 600, "a" * 601, "\x00", "\ud800", "1", "12"])
lookups = st.tuples(names, st.lists(texts, max_size=3).map(tuple))
micros = st.integers(-(2**63), 2**63 - 1)
values = st.none() | st.floats(allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(lookups, lookups)
def test_different_keys_never_have_the_same_bytes(one: Any, other: Any) -> None:
    packed = pack_key(*one, 511), pack_key(*other, 511)
    assert (packed[0] == packed[1]) == (one == other)
    assert max(map(len, packed)) <= 511
    assert {pack_layout_key(one[0], 511), pack_layout_key("n" * 600, 511)}.isdisjoint(packed)
    assert len(pack_layout_key("n" * 600, 511)) <= 511


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 70).flatmap(
        lambda n: st.tuples(micros, micros, micros, st.lists(values, min_size=n, max_size=n))
    )
)
def test_a_row_comes_back_as_it_was(row: Any) -> None:
    event, created, sequence, cells = row
    (packed,) = pack_rows(latest([cells], event, created, sequence))
    assert version_of(packed) == (event, created, sequence)
    found = unpack_row(packed)
    assert found == StoredRow(event, created, tuple(cells))
    signs = [math.copysign(1, x) for x in cells if x is not None]
    assert [math.copysign(1, x) for x in found.values if x is not None] == signs


def latest(rows: list[list[float | None]], event: int = 0, created: int = 0, sequence: int = 0) -> LatestRows:
    many = [(("k",), event, created, sequence)] * len(rows)
    keys, *versions = zip(*many, strict=True)
    numbers = np.array([[0.0 if x is None else x for x in row] for row in rows])
    present = np.array([[x is not None for x in row] for row in rows])
    arrays = [np.array(each, np.int64) for each in versions]
    return LatestRows(list(keys), arrays[0], arrays[1], arrays[2], numbers, present)


def test_a_nan_keeps_its_bits_and_is_not_null() -> None:
    odd = struct.unpack("<d", b"\x01\x00\x00\x00\x00\x00\xf8\x7f")[0]
    first, second = (unpack_row(row).values for row in pack_rows(latest([[odd, None], [None, 1.0]])))
    assert (struct.pack("<d", first[0]), first[1]) == (b"\x01\x00\x00\x00\x00\x00\xf8\x7f", None)
    assert second == (None, 1.0)
