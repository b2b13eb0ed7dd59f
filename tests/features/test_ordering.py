"""Sorting by radix against sorting by comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.features.ordering import is_sorted, order_by, stable_order

numbers = st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)
columns = st.lists(st.tuples(numbers, st.integers(0, 2), st.integers(0, 2)), max_size=30)


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, max_size=30), st.randoms(use_true_random=False))
def test_equal_numbers_keep_their_order(values: list[int], chance: object) -> None:
    array = np.array(values, np.int64)
    assert stable_order(array).tolist() == sorted(range(len(values)), key=values.__getitem__)
    within = list(range(len(values)))
    chance.shuffle(within)  # a random.Random
    found = stable_order(array, within=np.array(within, np.int64))
    assert found.tolist() == sorted(within, key=values.__getitem__)


@settings(max_examples=200, deadline=None)
@given(columns)
def test_ties_are_decided_by_the_next_rank(rows: list[tuple[int, int, int]]) -> None:
    ranks = [np.array([row[at] for row in rows], np.int64) for at in range(3)]
    found, expected = order_by(*ranks), sorted(range(len(rows)), key=rows.__getitem__)
    assert (list(range(len(rows))) if found is None else found.tolist()) == expected
    assert (found is None) == (rows == sorted(rows))


@pytest.mark.parametrize(("values", "said"), [([], True), ([1], True), ([1, 1, 2], True), ([2, 1], False)])
def test_order_is_seen(values: list[int], *, said: bool) -> None:
    assert is_sorted(np.array(values, np.int64)) is said
