"""Windows at once, as events come, and by brute force: one answer."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.oracle import micros, plain, windowed

from esteira.base.errors import BadInput, NaiveTime, UnknownName
from esteira.features.times import NotATime, NullTime
from esteira.features.windows.columns import WrongWindow
from esteira.features.windows.measures import Count, Last, Mean, Sum
from esteira.features.windows.sliding import EVENT_TIME, LateEvent, SlidingWindow, Window, window_rows

US = timedelta(microseconds=1)
FOREVER = 2**62
Event = tuple[int, str | None, int | None]
events_of_time = st.tuples(
    st.integers(-15, 25), st.sampled_from(["a", "b", None]), st.none() | st.integers(-(2**48), 2**48)
)


def window_of(length: int, hop: int, *, keys: tuple[str, ...] = ("k",)) -> Window:
    measures = {"n": Count(), "total": Sum("x"), "mean": Mean("x")}
    return Window(keys, "at", length * hop * US, hop * US, measures)


def table(events: list[Event]) -> pa.Table:
    return pa.table(
        {
            "at": micros([at for at, _, _ in events]),
            "k": pa.array([key for _, key, _ in events], pa.string()),
            "x": pa.array([value for *_, value in events], pa.int64()),
        }
    )


def fed(events: list[Event], window: Window, cuts: list[int]) -> pa.Table:
    """The rows of a sliding window that gets the events between its closes, as they happen."""
    sliding, parts, waiting = SlidingWindow(window), [], list(events)
    for cut in sorted(cuts):
        sliding.add(table([event for event in waiting if event[0] < cut]))
        waiting = [event for event in waiting if event[0] >= cut]
        parts.append(sliding.close(cut))
    sliding.add(table(waiting))
    return pa.concat_tables([*parts, sliding.close(FOREVER)])


@settings(max_examples=200, deadline=None)
@given(
    events=st.lists(events_of_time, max_size=20),
    length=st.integers(1, 4),
    hop=st.integers(1, 7),
    cuts=st.lists(st.integers(-20, 60), max_size=6),
)
def test_at_once_and_as_they_come_equal_brute_force_to_the_bit(
    events: list[Event], length: int, hop: int, cuts: list[int]
) -> None:
    window = window_of(length, hop)
    at_once = window_rows(table(events), window)
    assert fed(events, window, cuts).equals(at_once)
    assert plain(at_once) == windowed(table(events), window)


@pytest.mark.parametrize("seed", range(3))
def test_two_keys_of_text_and_number_equal_brute_force_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    events = pa.table(
        {
            "b": pa.array([chance.choice([1, 23, 3, None]) for _ in range(400)], pa.int32()),
            "a": [chance.choice(["1", "12", "é", None]) for _ in range(400)],
            "at": micros([chance.randint(0, 300) for _ in range(400)]),
            "x": [chance.choice([True, False, None]) for _ in range(400)],
        }
    )
    window = window_of(5, 9, keys=("a", "b"))
    found = window_rows(events, window)
    assert plain(found) == windowed(events, window)
    shuffled = events.take(pa.array(chance.sample(range(400), 400)))
    assert window_rows(shuffled, window).equals(found)


def test_the_start_of_a_window_belongs_to_it_and_the_end_does_not() -> None:
    rows = plain(window_rows(table([(10, "a", 1), (19, "a", 2), (20, "a", 4)]), window_of(1, 10)))
    assert [(row["event_ts"], row["total"]) for row in rows] == [(20, 3), (30, 4), (40, 0)]


def test_an_emptied_window_counts_nothing_and_has_no_mean() -> None:
    *_, last = plain(window_rows(table([(0, "a", 7)]), window_of(2, 10)))
    assert last == {"k": "a", "event_ts": 30, "n": 0, "total": 0, "mean": None}


def test_a_row_comes_only_when_the_content_changes() -> None:
    rows = plain(window_rows(table([(0, "a", 1), (35, "b", 1)]), window_of(4, 10)))
    assert [(row["event_ts"], row["k"]) for row in rows] == [(10, "a"), (40, "b"), (50, "a"), (80, "b")]
    swapped = plain(window_rows(table([(0, "a", 1), (10, "a", 1)]), window_of(1, 10)))
    assert [row["event_ts"] for row in swapped] == [10, 20, 30]  # equal sums of other events


def test_a_value_that_is_null_counts_as_an_event_and_not_as_a_value() -> None:
    first, *_ = plain(window_rows(table([(0, "a", None), (1, "a", 3)]), window_of(1, 10)))
    assert (first["n"], first["total"], first["mean"]) == (2, 3, 3.0)


def test_an_event_about_nobody_is_not_counted() -> None:
    assert window_rows(table([(0, None, 1)]), window_of(1, 10)).num_rows == 0


def test_a_window_without_keys_looks_at_all_events() -> None:
    rows = window_rows(table([(0, "a", 1), (5, None, 2)]), window_of(1, 10, keys=()))
    assert rows.column_names == ["event_ts", "n", "total", "mean"]
    assert rows["n"].to_pylist() == [2, 0]


def test_an_event_of_a_closed_boundary_is_refused_and_changes_nothing() -> None:
    sliding = SlidingWindow(window_of(2, 10))
    sliding.add(table([(5, "a", 1)]))
    sliding.close(25)
    sliding.add(table([(20, "a", 1)]))  # its first boundary is 30
    with pytest.raises(LateEvent, match=r"1970-01-01T00:00:00.000019\+00:00") as late:
        sliding.add(table([(40, "a", 5), (19, "b", 5)]))
    assert (late.value.event_us, late.value.closed_us) == (19, 25)
    assert plain(sliding.close(30)) == [{"k": "a", "event_ts": 30, "n": 1, "total": 1, "mean": 1.0}]


def test_an_event_just_before_a_boundary_is_late_once_it_is_closed_and_one_at_it_is_not() -> None:
    sliding = SlidingWindow(window_of(2, 10))
    sliding.close(20)
    with pytest.raises(LateEvent):
        sliding.add(table([(19, "a", 1)]))
    sliding.add(table([(20, "a", 1)]))
    assert sliding.close(30)["n"].to_pylist() == [1]


def test_closing_again_or_backwards_gives_nothing() -> None:
    sliding = SlidingWindow(window_of(1, 10))
    sliding.add(table([(5, "a", 1)]))
    assert [sliding.close(until).num_rows for until in (9, 10, 10, 3, 20, 99)] == [0, 1, 0, 0, 1, 0]
    with pytest.raises(LateEvent):
        sliding.add(table([(80, "a", 1)]))


def test_a_window_that_met_no_event_gives_rows_that_fit_those_that_come() -> None:
    sliding = SlidingWindow(window_of(1, 10))
    before = sliding.close(0)
    sliding.add(table([(5, "a", 1)]))
    together = pa.concat_tables([before, sliding.close(10)], promote_options="default")
    assert together["k"].to_pylist() == ["a"]
    assert window_rows(table([]), window_of(1, 10)).schema == sliding.close(11).schema


def test_sums_are_exact_to_the_last_unit() -> None:
    events = [(0, "a", 2**60), (1, "a", 1), (10, "a", 3)]
    rows = window_rows(table(events), window_of(1, 10))
    assert rows["total"].to_pylist() == [2**60 + 1, 3, 0]


def test_sums_that_may_not_fit_are_refused_until_the_large_values_have_left() -> None:
    sliding = SlidingWindow(window_of(1, 10))
    sliding.add(table([(0, "a", 2**61), (0, "a", 2**61)]))
    with pytest.raises(WrongWindow, match="larger unit"):
        sliding.add(table([(11, "a", -(2**63)), (12, "b", 1)]))
    sliding.close(10)
    with pytest.raises(WrongWindow, match="larger unit"):
        sliding.add(table([(11, "a", 1), (12, "b", 1), (13, "b", 1)]))
    assert sliding.close(20)["total"].to_pylist() == [0]
    sliding.add(table([(21, "a", 1), (22, "b", 1), (23, "b", 1)]))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([1.5]), "is double"),
        (pa.array(["1"]), "is string"),
        (pa.array([2**63], pa.uint64()), "beyond int64"),
    ],
)
def test_what_cannot_be_summed_exactly_is_refused(column: pa.Array, said: str) -> None:
    events = pa.table({"at": micros([0]), "k": ["a"], "x": column})
    with pytest.raises(WrongWindow, match=said):
        window_rows(events, window_of(1, 10))


@pytest.mark.parametrize(
    ("events", "error"),
    [
        (table([(0, "a", 1)]).drop_columns(["at"]), UnknownName),
        (table([(0, "a", 1)]).drop_columns(["k"]), UnknownName),
        (table([(0, "a", 1)]).drop_columns(["x"]), UnknownName),
        (pa.table({"at": micros([None]), "k": ["a"], "x": [1]}), NullTime),
        (pa.table({"at": pa.array([1], pa.timestamp("us")), "k": ["a"], "x": [1]}), NaiveTime),
    ],
)
def test_events_without_what_the_window_needs_are_refused(events: pa.Table, error: type[BadInput]) -> None:
    with pytest.raises(error):
        window_rows(events, window_of(1, 10))


@pytest.mark.parametrize(
    "changed",
    [
        {"hop": timedelta(0)},
        {"length": timedelta(0)},
        {"length": 15 * US},
        {"measures": {}},
        {"measures": {EVENT_TIME: Count()}},
        {"measures": {"k": Count()}},
    ],
)
def test_a_window_that_cannot_mean_anything_is_refused(changed: dict[str, Any]) -> None:
    given_ = {"keys": ("k",), "time": "at", "length": 20 * US, "hop": 10 * US, "measures": {"n": Count()}}
    with pytest.raises(WrongWindow):
        Window(**(given_ | changed))


def test_a_window_is_defined_by_all_its_parts() -> None:
    assert json.loads(json.dumps(window_of(2, 10).definition())) == {
        "keys": ["k"],
        "time": "at",
        "length_us": 20,
        "hop_us": 10,
        "measures": {"n": ["Count", None], "total": ["Sum", "x"], "mean": ["Mean", "x"]},
    }


def test_what_decides_the_rows_is_in_the_definition_once_it_is_set() -> None:
    measures = {"spent": Sum("x", unit=0.01), "last": Last("x")}
    defined = Window(("k",), "at", US, US, measures, created="known").definition()
    assert defined["created"] == "known"
    assert defined["measures"] == {"spent": ["Sum", "x", 0.01], "last": ["Last", "x"]}


# Events that become known late


def late_table(events: list[tuple[int, int | None]]) -> pa.Table:
    """Events of one key from (time, created), numbered in x."""
    at, known = ([event[place] for event in events] for place in range(2))
    named = {"at": micros(at), "known": micros(known), "k": ["a"] * len(events)}
    return pa.table({**named, "x": pa.array(range(len(events)), pa.int64())})


def late_window(length: int, hop: int) -> Window:
    return replace(window_of(length, hop), measures={"n": Count(), "last": Last("x")}, created="known")


@given(
    st.lists(st.tuples(st.integers(-20, 40), st.none() | st.integers(-40, 90)), max_size=12),
    st.integers(1, 4),
    st.integers(1, 7),
)
def test_an_event_enters_where_brute_force_counts_it_first(
    events: list[tuple[int, int | None]], length: int, hop: int
) -> None:
    window = late_window(length, hop)
    firsts = [windowed(late_table([event]), window) for event in events]
    expected = [rows[0]["event_ts"] if rows else Window.NEVER for rows in firsts]
    assert window.enters(late_table(events)).tolist() == expected


def test_a_late_event_counts_from_the_boundary_at_which_it_is_known_until_its_time_has_left() -> None:
    events = late_table([(5, 5), (6, 21), (7, 30)])
    found = plain(window_rows(events, late_window(3, 10)))
    assert [(row["event_ts"], row["n"], row["last"]) for row in found] == [
        (10, 1, 0),
        (30, 3, 2),
        (40, 0, None),
    ]


def test_what_is_known_at_the_boundary_itself_counts_there() -> None:
    assert late_window(1, 10).enters(late_table([(5, 10), (5, 11)])).tolist() == [10, Window.NEVER]


def test_known_at_either_end_of_time_is_known_always_or_never() -> None:
    window, ends = late_window(3, 10), [-(2**63), -(2**63) + 1, 2**63 - 2, 2**63 - 1]
    assert window.enters(late_table([(5, known) for known in ends])).tolist() == [10, 10, *[Window.NEVER] * 2]
    (first,) = window.enters(late_table([(-(2**63), -(2**63))]))
    assert -(2**63) < first <= -(2**63) + 10


def test_an_event_whose_window_would_outlast_time_is_refused() -> None:
    window, last = window_of(3, 10), 2**63 - 1 - 40
    found = window_rows(table([(last, "a", 1)]), window)
    assert found["n"].to_pylist() == [1, 0]
    assert last < plain(found)[0]["event_ts"] <= last + 10
    with pytest.raises(WrongWindow, match="time that its window would outlast"):
        window_rows(table([(last + 1, "a", 1)]), window)


def test_closed_boundaries_stay_as_they_are_however_late_events_come() -> None:
    sliding = SlidingWindow(late_window(3, 10))
    sliding.add(late_table([(5, 5)]))
    assert sliding.close(20)["n"].to_pylist() == [1]
    sliding.add(late_table([(6, 25), (4, None), (-90, 25)]))  # late, never known, known after it has left
    assert plain(sliding.close(40)) == [
        {"k": "a", "event_ts": 30, "n": 2, "last": 0},
        {"k": "a", "event_ts": 40, "n": 0, "last": None},
    ]


def test_an_event_that_was_known_by_a_closed_boundary_is_refused() -> None:
    sliding = SlidingWindow(late_window(3, 10))
    sliding.close(20)
    with pytest.raises(LateEvent, match="really become known") as late:
        sliding.add(late_table([(15, 21), (6, 19)]))
    assert (late.value.event_us, late.value.closed_us) == (6, 20)
    assert sliding.close(FOREVER).num_rows == 0


@pytest.mark.parametrize(
    ("known", "error"),
    [(pa.array([1], pa.timestamp("us")), NaiveTime), (pa.array([1]), NotATime), (None, UnknownName)],
)
def test_a_created_time_must_be_there_and_be_a_moment(known: pa.Array | None, error: type[BadInput]) -> None:
    events = late_table([(5, 5)]).drop_columns(["known"])
    events = events if known is None else events.append_column("known", known)
    with pytest.raises(error):
        window_rows(events, late_window(1, 10))


def test_hours_of_a_day_that_winds_the_clock_back_are_hours_of_utc() -> None:
    twice = ["2018-02-17T23:30:00-02:00", "2018-02-17T23:30:00-03:00"]  # one wall clock, an hour apart
    at = pa.array([datetime.fromisoformat(each) for each in twice], pa.timestamp("us", "America/Sao_Paulo"))
    hours = Window((), "at", timedelta(hours=1), timedelta(hours=1), {"n": Count()})
    found = window_rows(pa.table({"at": at}), hours)
    assert [(row["event_ts"].hour, row["n"]) for row in found.to_pylist()] == [(2, 1), (3, 1), (4, 0)]
