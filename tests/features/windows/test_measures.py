"""Every measure by brute force, at once and as events come: one answer, to the bit."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.oracle import micros, plain, windowed

from esteira.base.errors import UnknownName
from esteira.features.windows.columns import WrongWindow
from esteira.features.windows.measures import Count, Distinct, Last, Max, Mean, Measure, Min, Sum
from esteira.features.windows.sliding import SlidingWindow, Window, window_rows

US = timedelta(microseconds=1)
FOREVER = 2**62
MEASURES: dict[str, Measure] = {
    "events": Count(),
    "total": Sum("x"),
    "mean": Mean("x"),
    "spent": Sum("fare", unit=0.01),
    "typical": Mean("fare", unit=0.01),
    "least": Min("x"),
    "cheapest": Min("fare"),
    "dearest": Max("fare"),
    "late": Max("flag"),
    "newest": Max("moment"),
    "words": Distinct("word"),
    "fares": Distinct("fare"),
    "word": Last("word"),
    "fare": Last("fare"),
}
FARES = [0.1, 0.2, 0.3, 19.99, -7.01, float("nan"), None]
events_of_time = st.tuples(
    st.integers(-15, 25),
    st.sampled_from(["a", "b", None]),
    st.none() | st.integers(-3, 5) | st.integers(0, 20),  # by how much later it became known
    st.none() | st.integers(-4, 4),
    st.sampled_from(FARES),
    st.sampled_from(["x", "é", "", None]),
)
Event = tuple[int, str | None, int | None, int | None, float | None, str | None]


def table_of(events: list[Event]) -> pa.Table:
    at = [event[0] for event in events]
    return pa.table(
        {
            "at": micros(at),
            "k": pa.array([event[1] for event in events], pa.string()),
            "known": micros([None if event[2] is None else event[0] + event[2] for event in events]),
            "x": pa.array([event[3] for event in events], pa.int32()),
            "fare": pa.array([event[4] for event in events], pa.float64(), from_pandas=False),
            "word": pa.array([event[5] for event in events], pa.string()),
            "flag": pa.array([None if event[3] is None else event[3] > 0 for event in events], pa.bool_()),
            "moment": micros([event[3] for event in events]),
            "_seq": pa.array(range(len(events)), pa.int64()),
        }
    )


def window_of(length: int, hop: int, measures: dict[str, Measure], created: str | None = None) -> Window:
    return Window(("k",), "at", length * hop * US, hop * US, measures, created)


def scattered(events: pa.Table, window: Window, cuts: list[int], chance: random.Random) -> pa.Table:
    """The rows of a sliding window that is closed at each cut, and gets each event before it must have it."""
    cuts = [*sorted(cuts), FOREVER]
    due = np.searchsorted(cuts, np.minimum(window.enters(events), FOREVER))
    when = np.array([chance.randint(0, int(last)) for last in due], np.int64)
    sliding, parts = SlidingWindow(window), []
    for at, cut in enumerate(cuts):
        chosen = np.flatnonzero(when == at).tolist()
        sliding.add(events.take(pa.array(chance.sample(chosen, len(chosen)), pa.int64())))
        parts.append(sliding.close(cut))
    return pa.concat_tables(parts)


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(events_of_time, max_size=20),
    length=st.integers(1, 6),
    hop=st.integers(1, 7),
    created=st.sampled_from([None, "known"]),
    cuts=st.lists(st.integers(-20, 60), max_size=6),
    chance=st.randoms(use_true_random=False),
)
def test_all_measures_equal_brute_force_at_once_and_in_random_chunks_of_random_order(
    events: list[Event], length: int, hop: int, created: str | None, cuts: list[int], chance: random.Random
) -> None:
    table, window = table_of(events), window_of(length, hop, MEASURES, created)
    at_once = window_rows(table, window)
    assert plain(at_once) == windowed(table, window)
    assert scattered(table, window, cuts, chance).equals(at_once)
    shuffled = table.take(pa.array(chance.sample(range(len(events)), len(events)), pa.int64()))
    assert window_rows(shuffled, window).equals(at_once)


@settings(max_examples=50, deadline=None)
@given(st.lists(events_of_time, max_size=20), st.integers(1, 30))
def test_without_a_sequence_the_event_that_came_last_is_the_newest_of_its_time(
    events: list[Event], length: int
) -> None:
    table = table_of(events).drop_columns(["_seq"])
    window = window_of(length, 1, {"word": Last("word"), "fare": Last("fare")})
    assert plain(window_rows(table, window)) == windowed(table, window)


@pytest.mark.parametrize("length", [1, 24, 500])
def test_many_events_over_many_slices_equal_brute_force(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira.features.windows.sliding._AT_ONCE", 8)
    chance = random.Random(length)
    events: list[Event] = [
        (
            chance.randint(0, 900),
            chance.choice("abc"),
            chance.randint(0, length),
            at % 7,
            chance.choice(FARES),
            "w",
        )
        for at in range(400)
    ]
    table, window = table_of(events), window_of(length, 3, MEASURES, "known")
    rows = window_rows(table, window)
    assert rows["k"].num_chunks > 5
    assert plain(rows) == windowed(table, window)


def one_window(measure: Measure, values: pa.Array) -> pa.Array:
    """A measure of events that enter together, and the same once they have left."""
    events = pa.table({"at": micros([0] * len(values)), "x": values})
    return window_rows(events, Window((), "at", US, US, {"m": measure}))["m"].combine_chunks()


@pytest.mark.parametrize(
    ("values", "least", "greatest"),
    [
        (pa.array([3, None, -2], pa.int16()), -2, 3),
        (pa.array([2**64 - 1, 1], pa.uint64()), 1, 2**64 - 1),
        (pa.array([1.5, float("nan"), float("-inf")], pa.float32()), float("-inf"), 1.5),
        (pa.array([True, False]), False, True),
        (pa.array([date(2024, 2, 29), date(1960, 1, 1)]), date(1960, 1, 1), date(2024, 2, 29)),
        (pa.array([None, datetime(2024, 3, 31, tzinfo=UTC)]), *[datetime(2024, 3, 31, tzinfo=UTC)] * 2),
        (pa.array([None], pa.int8()), None, None),
        (pa.nulls(1), None, None),
    ],
)
def test_the_least_and_the_greatest_keep_the_type_of_their_column(
    values: pa.Array, least: Any, greatest: Any
) -> None:
    for measure, expected in ((Min("x"), least), (Max("x"), greatest)):
        found = one_window(measure, values)
        assert (found.type, found.to_pylist()) == (values.type, [expected, None])


def test_of_the_two_zeros_the_negative_one_is_the_least_and_both_are_one_value() -> None:
    zeros = pa.array([0.0, -0.0])
    signs = [np.signbit(one_window(measure, zeros)[0].as_py()) for measure in (Min("x"), Max("x"))]
    assert signs == [True, False]
    assert one_window(Distinct("x"), zeros).to_pylist() == [1, 0]


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["old", "new", None]),
        pa.array([b"old", b"new", None], pa.large_binary()),
        pa.array([[1], [2, None], None]),
        pa.array([{"a": 1}, {"a": None}, None]),
        pa.array([1.5, 2.5, float("nan")], pa.float32()),
        pa.array([datetime(2024, 1, 1), datetime(2023, 1, 1), None], pa.timestamp("ns")),  # noqa: DTZ001 - a time without a zone is what is tried
    ],
)
def test_the_last_value_may_be_of_any_type_and_is_never_null(values: pa.Array) -> None:
    found = one_window(Last("x"), values)
    assert (found.type, found.to_pylist()) == (values.type, [values[1].as_py(), None])


def test_the_last_value_of_a_time_has_the_greatest_sequence_not_the_last_place() -> None:
    events = pa.table({"at": micros([5, 5, 4]), "x": ["second", "first", "old"], "_seq": [7, 3, 9]})
    rows = window_rows(events, Window((), "at", 10 * US, 10 * US, {"last": Last("x")}))
    assert rows["last"].to_pylist() == ["second", None]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        (pa.array(["a", "b", "a", None]), 2),
        (pa.array([1, 1, 2], pa.uint8()), 2),
        (pa.array([True, None, False]), 2),
        (pa.array([float("nan"), 1.5, 1.5]), 1),
        (pa.array([date(2024, 1, 1)] * 2), 1),
        (pa.array([b"", None]), 1),
        (pa.nulls(3), 0),
    ],
)
def test_equal_values_count_once_and_null_never(values: pa.Array, count: int) -> None:
    assert one_window(Distinct("x"), values).to_pylist() == [count, 0]


@pytest.mark.parametrize(
    ("measure", "values"),
    [
        (Min("x"), pa.array(["a"])),
        (Max("x"), pa.array([[1]])),
        (Distinct("x"), pa.array([[1]])),
        (Sum("x"), pa.array([0.5])),
        (Mean("x", unit=0.01), pa.array([0.005])),
    ],
)
def test_what_a_measure_has_no_meaning_over_is_refused_before_anything_is_kept(
    measure: Measure, values: pa.Array
) -> None:
    sliding = SlidingWindow(Window((), "at", US, US, {"n": Count(), "m": measure}))
    with pytest.raises(WrongWindow, match="column 'x' of the events"):
        sliding.add(pa.table({"at": micros([0]), "x": values}))
    assert sliding.close(FOREVER).num_rows == 0


@pytest.mark.parametrize("measure", [Min("y"), Last("y"), Distinct("y"), Sum("y", unit=1)])
def test_a_column_that_is_not_there_is_named(measure: Measure) -> None:
    with pytest.raises(UnknownName, match="'y'"):
        one_window(measure, pa.array([1]))


@pytest.mark.parametrize("make", [Sum, Mean])
def test_a_unit_must_be_above_zero(make: Any) -> None:
    with pytest.raises(WrongWindow, match="above zero"):
        make("x", unit=0)
