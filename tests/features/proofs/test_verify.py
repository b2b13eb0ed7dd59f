from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.base.clock import from_micros
from esteira.features.proofs.verify import AHEAD, CHANGED, FOREIGN, STALE, sampled_keys, verify_view
from esteira.features.stores import open_store
from esteira.features.times import UTC_MICROS
from esteira.features.views import BoundView, FeatureView
from esteira.features.windows.measures import Count
from esteira.features.windows.sliding import Window, window_rows

if TYPE_CHECKING:
    from esteira.features.stores.port import OnlineStore

SECOND = 1_000_000
VIEW = FeatureView(
    "heat", ("site", "line"), ("mean", "state"), "measured", "at", "known", timedelta(seconds=9)
)
NOW = 100 * SECOND


def rows(*cells: tuple[str, int, float, float, float | None]) -> pa.Table:
    """Rows of (site, line, event second, created second, mean)."""
    sites, lines, at, known, means = zip(*cells, strict=True)
    return pa.table(
        {
            "site": sites,
            "line": pa.array(lines, pa.int32()),
            "at": pa.array([int(each * SECOND) for each in at], UTC_MICROS),
            "known": pa.array([int(each * SECOND) for each in known], UTC_MICROS),
            "mean": pa.array(means, pa.float32()),
            "state": [None if mean is None else f"s{mean:g}" for mean in means],
        }
    )


HEALTHY = rows(
    ("a", 1, 95, 96, 1.5),
    ("a", 1, 97, 101, 2.5),  # not known yet
    ("a", 2, 91, 91, 0.1),  # the last moment of its TTL
    ("b", 1, 90.999999, 90.999999, 4),  # one microsecond too old
    ("b", 2, 99, 99, None),
    ("c", 1, 102, 102, 5),  # has not happened
    ("d", 1, 100, 100, math.nan),
)


def stored(table: pa.Table = HEALTHY, view: FeatureView = VIEW, until: int = NOW) -> OnlineStore:
    store = open_store("memory:")
    times = zip(table["at"].cast(pa.int64()), table["known"].cast(pa.int64()), strict=True)
    store.write(view, table.filter(pa.array([max(each.as_py() for each in pair) <= until for pair in times])))
    return store


def forge(store: OnlineStore, table: pa.Table) -> None:
    """Write rows as later truths of the same times."""
    store.write(VIEW, table.append_column("_seq", pa.array([99] * table.num_rows, pa.int64())))


def verified(store: OnlineStore, table: pa.Table = HEALTHY, at: int = NOW, **options: int) -> Any:
    return verify_view(BoundView(VIEW, table), store, at, **options)


def test_a_store_that_holds_what_was_known_passes() -> None:
    found = verified(stored())
    assert (found.view, found.keys, found.cells, found.differing) == ("heat", 6, 12, 0)
    assert found.passed
    assert (found.causes, found.examples) == ({}, ())


def test_an_empty_store_is_stale() -> None:
    found = verified(open_store("memory:"))
    assert (found.differing, found.causes) == (10, {STALE: 10})  # of c nothing was known
    example = next(each for each in found.examples if each.key == ("a", "1") and each.column == "heat__mean")
    assert (example.online, example.online_status, example.offline, example.offline_status) == (
        *(None, "missing"),
        *(1.5, "present"),
    )


def test_a_store_that_was_brought_up_to_earlier_is_stale() -> None:
    found = verified(stored(until=96 * SECOND))
    assert found.causes == {STALE: 4}
    assert {each.key for each in found.examples} == {("b", "2"), ("d", "1")}


def test_a_row_written_by_hand_is_found() -> None:
    newer, other = stored(), stored()
    newer.write(VIEW, rows(("a", 1, 99, 99, 7)))
    assert verified(newer).causes == {FOREIGN: 2}
    forge(other, rows(("a", 1, 95, 96, 7)))
    found = verified(other)
    assert found.causes == {CHANGED: 2}
    assert [(each.column, each.online, each.offline) for each in found.examples] == [
        ("heat__mean", 7.0, 1.5),
        ("heat__state", "s7", "s1.5"),
    ]


def test_a_row_that_the_table_has_not_is_found_when_its_key_is_known() -> None:
    store = stored()
    store.write(VIEW, rows(("c", 1, 98, 98, 7)))
    assert verified(store).causes == {FOREIGN: 2}


def test_a_store_that_is_ahead_of_the_moment_says_so() -> None:
    store = stored(until=NOW + 2 * SECOND)
    found = verified(store)
    assert found.causes == {AHEAD: 2}
    assert verified(store, at=NOW + 2 * SECOND).passed


def test_the_last_moment_of_a_ttl_is_the_same_on_both_sides_and_a_wrong_one_is_found() -> None:
    table = rows(("a", 1, 91, 91, 1))
    bound = BoundView(VIEW, table)
    for at, status in ((NOW, "present"), (NOW + 1, "expired")):
        assert verify_view(bound, stored(table), at).passed
        empty = verify_view(bound, open_store("memory:"), at)
        assert {each.offline_status for each in empty.examples} == {status}


def test_a_view_that_is_stored_otherwise_differs_in_every_cell() -> None:
    fewer = replace(VIEW, features=("mean",))
    found = verified(stored(view=fewer))
    assert (found.differing, found.examples) == (12, ())
    assert "raise the view's version" in next(iter(found.causes))


def test_a_window_that_nobody_moved_on_is_stale() -> None:

    second = timedelta(seconds=1)
    window = Window(("site",), "at", 5 * second, second, {"n": Count()})
    view = FeatureView("lately", ("site",), ("n",), "measured", window=window)
    bound = BoundView(view, window_rows(HEALTHY.select(["site", "at"]), window))
    store = open_store("memory:")

    closed = pc.less_equal(bound.rows["event_ts"], from_micros(NOW))
    store.write(view, bound.rows.filter(closed))
    assert verify_view(bound, store, NOW).passed
    later = verify_view(bound, store, NOW + 3 * SECOND)
    assert later.causes == {STALE: later.differing}
    assert later.differing > 0


def test_a_view_without_keys_has_one_answer() -> None:
    view = FeatureView("all", (), ("mean",), "measured", "at", "known")
    store = open_store("memory:")
    store.write(view, HEALTHY.slice(0, 1))
    bound = BoundView(view, HEALTHY.slice(0, 1))
    found = verify_view(bound, store, NOW)
    assert (found.keys, found.cells, found.passed) == (1, 1, True)
    assert not verify_view(bound, open_store("memory:"), NOW).passed


def test_an_empty_table_and_null_keys_have_nothing_to_compare() -> None:
    assert verified(open_store("memory:"), HEALTHY.slice(0, 0)).cells == 0
    nobody = HEALTHY.set_column(0, "site", pa.nulls(HEALTHY.num_rows, pa.string()))
    assert verified(open_store("memory:"), nobody).cells == 0


def test_a_sample_repeats_and_stays_as_keys_come() -> None:
    many = pa.concat_tables([rows((f"s{at}", 1, 95, 95, at)) for at in range(200)])
    chosen = sampled_keys(BoundView(VIEW, many), 50, seed=7)["site"].to_pylist()
    assert len({*chosen}) == 50
    fewer = sampled_keys(BoundView(VIEW, many.slice(0, 150)), 50, seed=7)["site"].to_pylist()
    assert {each for each in chosen if int(each[1:]) < 150} <= {*fewer}
    assert chosen != sampled_keys(BoundView(VIEW, many), 50, seed=8)["site"].to_pylist()


CELL = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from([1, 2]),
    st.integers(85, 105),
    st.integers(85, 105),
    st.one_of(st.none(), st.sampled_from([0.5, 1.5, 2.5])),
)


@settings(max_examples=50)
@given(st.lists(CELL, min_size=1, max_size=30, unique_by=lambda cell: cell[:4]), st.integers(85, 105))
def test_whatever_the_rows_a_store_that_was_brought_to_the_moment_passes(
    cells: list[tuple[str, int, float, float, float | None]], second: int
) -> None:
    table, at = rows(*cells), second * SECOND
    assert verify_view(BoundView(VIEW, table), stored(table, until=at), at).passed


@pytest.mark.parametrize("place", [0, 2, 6])
def test_one_forged_value_is_one_differing_cell(place: int) -> None:
    store = stored()
    forged = HEALTHY.slice(place, 1).set_column(4, "mean", pa.array([9.25], pa.float32()))
    forge(store, forged)
    found = verified(store)
    assert (found.differing, found.examples[0].column, found.examples[0].online) == (1, "heat__mean", 9.25)
