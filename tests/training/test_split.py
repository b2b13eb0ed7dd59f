"""Splits in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, UnknownName
from esteira.training.split import time_split

START = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def table(days: list[float]) -> pa.Table:
    at = pa.array([START + day * DAY for day in days], pa.timestamp("us", "UTC"))
    return pa.table({"asked_at": at, "row": range(len(days))})


def test_the_holdout_is_the_last_stretch_of_time() -> None:
    past, newest = time_split(table([0, 1, 2, 3, 4]), "asked_at", 2 * DAY)
    assert past["row"].to_pylist() == [0, 1, 2]
    assert newest["row"].to_pylist() == [3, 4]


def test_rows_in_the_gap_are_in_neither_part() -> None:
    past, newest = time_split(table([0, 1, 2, 3, 4]), "asked_at", DAY, gap=1.5 * DAY)
    assert past["row"].to_pylist() == [0, 1]
    assert newest["row"].to_pylist() == [4]


def test_rows_keep_their_order_even_when_time_does_not() -> None:
    past, newest = time_split(table([4, 0, 3, 1]), "asked_at", 1.5 * DAY)
    assert past["row"].to_pylist() == [1, 3]
    assert newest["row"].to_pylist() == [0, 2]


@given(
    days=st.lists(st.floats(0, 300, allow_nan=False), min_size=2, max_size=60),
    holdout=st.floats(0.1, 200),
    gap=st.floats(0, 50),
)
def test_no_past_row_is_younger_than_a_holdout_row_minus_the_gap(
    days: list[float], holdout: float, gap: float
) -> None:
    rows = table(days)
    try:
        past, newest = time_split(rows, "asked_at", holdout * DAY, gap * DAY)
    except BadInput:
        assert max(days) - min(days) < holdout + gap + 1e-6
        return
    assert newest.num_rows > 0
    oldest = min(newest["asked_at"].to_pylist())
    assert max(past["asked_at"].to_pylist()) + gap * DAY < oldest
    assert not set(past["row"].to_pylist()) & set(newest["row"].to_pylist())
    if gap == 0:
        assert past.num_rows + newest.num_rows == rows.num_rows


def test_an_unknown_time_column_is_named_with_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="did you mean 'asked_at'"):
        time_split(table([0, 1]), "askedat", DAY)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (table([]), "0 rows"),
        (pa.table({"asked_at": pa.array([START, None])}), "1 missing times in 2 rows"),
        (pa.table({"asked_at": [1, 2]}), "found int64"),
        (pa.table({"asked_at": pa.array([START.replace(tzinfo=None)])}), "with zone"),
        (table([3, 3]), "no row of 'asked_at' is older"),
    ],
)
def test_times_that_cannot_be_split_say_why(rows: pa.Table, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        time_split(rows, "asked_at", DAY)


@pytest.mark.parametrize(
    ("holdout", "gap"), [(timedelta(0), timedelta(0)), (-DAY, timedelta(0)), (DAY, -DAY)]
)
def test_a_holdout_of_nothing_and_a_negative_gap_are_refused(holdout: timedelta, gap: timedelta) -> None:
    with pytest.raises(BadInput, match="longer than nothing"):
        time_split(table([0, 1, 2]), "asked_at", holdout, gap)
