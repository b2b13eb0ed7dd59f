"""Numbers of a spine's keys, found again in views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.features.matching import KeyMatcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

parts = st.none() | st.text("ab1,", max_size=3)
numbers = st.none() | st.integers(-1, 2) | st.sampled_from([-(2**63), 2**63 - 1])
key_lists = st.lists(st.tuples(parts, parts, numbers), max_size=15)
Keys = list[tuple[Any, ...]]


def table(keys: Keys) -> pa.Table:
    kinds = {"a": pa.string(), "b": pa.large_string(), "c": pa.int64()}
    return pa.table({n: pa.array([k[i] for k in keys], t) for i, (n, t) in enumerate(kinds.items())})


def match(
    spine: pa.Table, rows: pa.Table, keys: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    matcher = KeyMatcher(spine, keys)
    return matcher.codes, matcher.codes_of(rows, "view v")


@settings(max_examples=150, deadline=None)
@given(key_lists, key_lists)
def test_codes_match_when_the_keys_are_equal_and_not_null(wanted: Keys, offered: Keys) -> None:
    left, right = match(table(wanted), table(offered), ("a", "b", "c"))
    for one, code in zip(wanted, left, strict=True):
        assert (code < 0) == (None in one)
        for other, found in zip(offered, right, strict=True):
            assert (code == found and code >= 0) == (one == other and None not in one)
        for other, found in zip(wanted, left, strict=True):
            assert (code == found and code >= 0) == (one == other and None not in one)


@settings(max_examples=100, deadline=None)
@given(st.lists(numbers, max_size=12), st.lists(numbers, max_size=12))
def test_whole_numbers_match_when_they_are_equal(wanted: list[int | None], offered: list[int | None]) -> None:
    sides = (pa.table({"k": pa.array(side, pa.int64())}) for side in (wanted, offered))
    left, right = match(*sides, ("k",))
    for one, code in zip(wanted, left, strict=True):
        assert [code == found and code >= 0 for found in right] == [
            one == other and one is not None for other in offered
        ]


def test_a_dictionary_column_is_read_by_its_values() -> None:
    doubled = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["x", "x", None]))
    left, right = match(pa.table({"k": doubled}), pa.table({"k": ["x"]}), ("k",))
    assert (left.tolist(), right.tolist()) == ([0, 0, -1, -1], [0])


def test_many_large_columns_do_not_overflow() -> None:
    chance = np.random.default_rng(3)
    columns = {f"k{n}": chance.permutation(2000) for n in range(8)}
    rows = pa.table(columns)
    left, right = match(rows, rows.take(pa.array(np.arange(2000)[::-1])), tuple(columns))
    assert left.tolist() == right.tolist()[::-1]
    assert len({*left.tolist()}) == 2000
    assert left.max() < 2**31


def test_a_key_that_is_null_throughout_matches_nothing() -> None:
    left, right = match(pa.table({"k": pa.nulls(2)}), pa.table({"k": ["x"]}), ("k",))
    assert (left.tolist(), right.tolist()) == ([-1, -1], [-1])
    assert match(pa.table({"k": ["x"]}), pa.table({"k": pa.nulls(1)}), ("k",))[1].tolist() == [-1]
