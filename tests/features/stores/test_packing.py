"""Keys and rows as bytes and back."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.features.latest import LatestRows
from esteira.features.stores.packing import (
    pack_keys,
    pack_layout,
    pack_layout_key,
    pack_rows,
    unpack_layout,
    unpack_layouts,
    unpack_rows,
    version_of,
)
from esteira.features.stores.port import Layout, StoredRow

names = st.sampled_from(["v", "vv", "w"])
texts = st.text(max_size=3) | st.sampled_from(["a" * 600, "a" * 601, "\x00", "\ud800", "1", "12"])
lookups = st.tuples(names, st.lists(texts, max_size=3).map(tuple))
micros = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=150, deadline=None)
@given(lookups, lookups)
def test_different_keys_never_have_the_same_bytes(one: Any, other: Any) -> None:
    packed = pack_keys([one, other], 511)
    assert (packed[0] == packed[1]) == (one == other)
    assert max(map(len, packed)) <= 511
    assert {pack_layout_key(one[0], 511), pack_layout_key("n" * 600, 511)}.isdisjoint(packed)
    assert len(pack_layout_key("n" * 600, 511)) <= 511


numbers = st.none() | st.floats(allow_nan=False)
words = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
kinds = st.lists(st.sampled_from(["number", "text", "unknown"]), min_size=1, max_size=20)
cell = {"number": numbers, "text": words, "unknown": st.none()}
rows_of_kinds = kinds.flatmap(
    lambda found: st.tuples(
        micros, micros, micros, st.tuples(*(st.tuples(st.just(kind), cell[kind]) for kind in found))
    )
)


@settings(max_examples=150, deadline=None)
@given(st.lists(rows_of_kinds, max_size=4))
def test_rows_come_back_as_they_were_whatever_stands_beside_them(rows: list[Any]) -> None:
    packed = [one for row in rows for one in pack_rows(latest([row]))]
    assert [version_of(one) for one in packed] == [row[:3] for row in rows]
    expected = [StoredRow(row[0], row[1], tuple(value for _, value in row[3])) for row in rows]
    found = unpack_rows(packed)
    assert found == expected
    assert [signs(one.values) for one in found if one] == [signs(one.values) for one in expected]


def signs(cells: tuple[Any, ...]) -> list[float]:
    return [math.copysign(1, value) for value in cells if isinstance(value, float)]


def latest(rows: list[Any]) -> LatestRows:
    """Rows of (event, created, sequence, cells of (kind, value)) that are alike in kinds."""
    kinds = tuple(kind for kind, _ in rows[0][3])
    event, created, sequence = (np.array([row[at] for row in rows], np.int64) for at in range(3))
    numbers = [[0.0 if value is None else value for kind, value in row[3] if kind != "text"] for row in rows]
    texts = [[row[3][at][1] for row in rows] for at, kind in enumerate(kinds) if kind == "text"]
    present = np.array([[value is not None for _, value in row[3]] for row in rows])
    return LatestRows(
        [("k",)] * len(rows),
        event,
        created,
        sequence,
        kinds,
        present,
        np.array(numbers, np.float64).reshape(len(rows), -1),
        texts,
    )


def test_a_text_of_any_length_is_never_taken_for_a_row_of_numbers() -> None:
    texts = ["x" * length for length in range(600)]
    rows = [(1, 2, 3, (("text", text), ("number", 0.5))) for text in texts]
    packed = pack_rows(latest(rows))
    assert unpack_rows(packed) == [StoredRow(1, 2, (text, 0.5)) for text in texts]
    of_numbers = {
        len(pack_rows(latest([(1, 2, 3, (("number", 1.0),) * width)]))[0]) for width in range(1, 90)
    }
    assert of_numbers.isdisjoint(map(len, packed))


def test_rows_and_layouts_of_the_time_before_texts_are_still_read() -> None:
    old = struct.pack("<qqqB2d", 5, 6, 7, 0b10, 0.0, 2.5)
    assert unpack_rows([old, None]) == [StoredRow(5, 6, (None, 2.5)), None]
    assert pack_rows(latest([(5, 6, 7, (("number", None), ("number", 2.5)))])) == [old]
    layout = unpack_layout(b'{"keys":["k"],"features":["f","g"]}')
    assert layout == Layout(("k",), ("f", "g"), ("number", "number"), None)
    assert unpack_layouts([(b"\x02v", b'{"keys":["k"],"features":["f","g"]}')]) == {"v": layout}


def test_a_layout_comes_back_under_the_name_of_its_view_however_long() -> None:
    name, layout = "n" * 600, Layout(("k",), ("f", "g"), ("text", "unknown"), 7)
    assert unpack_layouts([(pack_layout_key(name, 511), pack_layout(name, layout))]) == {name: layout}


def test_a_nan_keeps_its_bits_and_is_not_null() -> None:
    bits = b"\x01\x00\x00\x00\x00\x00\xf8\x7f"
    odd = struct.unpack("<d", bits)[0]
    rows = [(0, 0, 0, (("number", odd), ("number", None))), (0, 0, 0, (("number", None), ("number", 1.0)))]
    first, second = unpack_rows(pack_rows(latest(rows)))
    assert first is not None
    assert (struct.pack("<d", first.values[0]), first.values[1]) == (bits, None)
    assert second == StoredRow(0, 0, (None, 1.0))
