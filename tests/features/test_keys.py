"""Keys are equal when all their parts are, and only then."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.features.keys import KeyIndex, WrongKey, key_text, key_texts

parts = st.none() | st.text("ab1,", max_size=3)
key_lists = st.lists(st.tuples(parts, parts, st.none() | st.integers(-1, 2)), max_size=15)
Keys = list[tuple[Any, ...]]


def table(keys: Keys) -> pa.Table:
    kinds = {"a": pa.string(), "b": pa.large_string(), "c": pa.int16()}
    return pa.table({n: pa.array([k[i] for k in keys], t) for i, (n, t) in enumerate(kinds.items())})


@settings(max_examples=100, deadline=None)
@given(st.lists(key_lists, max_size=4))
def test_an_index_numbers_keys_alike_over_all_tables(batches: list[Keys]) -> None:
    index, seen = KeyIndex(("a", "b", "c"), "events"), {}
    for batch in batches:
        for key, code in zip(batch, index.codes(table(batch)).tolist(), strict=True):
            assert seen.setdefault(key, code) == code
            assert (code == -1) == (None in key)
    known = {key: code for key, code in seen.items() if None not in key}
    assert sorted(known.values()) == list(range(len(index)))
    if batches:
        rows = index.table().to_pylist()
        assert all(tuple(rows[code].values()) == key for key, code in known.items())


def test_an_index_numbers_keys_in_the_order_of_their_first_row() -> None:
    index = KeyIndex(("k",), "events")
    assert index.codes(pa.table({"k": ["z", None, "a", "z"]})).tolist() == [0, -1, 1, 0]
    assert index.table()["k"].to_pylist() == ["z", "a"]
    assert index.table() is index.table()


def test_an_index_of_no_columns_has_one_key() -> None:
    index = KeyIndex((), "events")
    assert index.codes(pa.table({"x": [1, 2]})).tolist() == [0, 0]
    assert len(index) == 1


def test_an_index_refuses_keys_of_another_type_but_takes_those_without_any() -> None:
    index = KeyIndex(("k",), "events")
    assert index.codes(pa.table({"k": pa.nulls(2)})).tolist() == [-1, -1]
    assert index.table().schema.field("k").type == pa.null()
    index.codes(pa.table({"k": ["a"]}))
    assert index.codes(pa.table({"k": pa.nulls(1)})).tolist() == [-1]
    assert index.codes(pa.table({"k": pa.array(["a"], pa.large_string())})).tolist() == [0]
    assert index.table().schema.field("k").type == pa.string()
    with pytest.raises(WrongKey, match="as before"):
        index.codes(pa.table({"k": [1]}))


@pytest.mark.parametrize(
    "column", [pa.array([1.5]), pa.array([b"x"]), pa.array([[1]]), pa.array([2**64 - 1], pa.uint64())]
)
def test_a_key_that_has_no_exact_equal_is_refused(column: pa.Array) -> None:
    with pytest.raises(WrongKey, match="text, whole numbers, flags or dates"):
        KeyIndex(("k",), "events").codes(pa.table({"k": column}))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["JFK", "", None]),
        pa.array([-1, 2**63 - 1, None]),
        pa.array([True, False, None]),
        pa.array([date(2013, 1, 1), date(999, 1, 1), None]),
    ],
)
def test_a_key_has_the_same_text_in_a_table_and_in_a_request(column: pa.Array) -> None:
    (texts,) = key_texts(pa.table({"k": column}), ("k",), "view v")
    assert texts.to_pylist() == [key_text(value, "k") for value in column.to_pylist()]


@pytest.mark.parametrize("value", [1.5, b"x", ["x"], datetime(2013, 1, 1)])  # noqa: DTZ001 - a time without a zone is what is tried
def test_a_request_key_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(WrongKey, match="key 'origin'"):
        key_text(value, "origin")
