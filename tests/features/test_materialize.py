"""Materializing ends where the point-in-time join stands, whatever came when and whoever was killed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.features.histories import LAST, World, commits, events_of

from esteira.base.clock import from_micros
from esteira.base.errors import NaiveTime, NotFound, ServiceUnreachable
from esteira.features import reading, recent
from esteira.features.ledger import DefinitionChanged, FutureEnd
from esteira.features.materialize import SourceReplaced, materialize_view
from esteira.features.stores.memory import MemoryStore
from esteira.features.views import FeatureView
from esteira.features.windows.measures import Count, Distinct, Last, Max, Mean, Sum
from esteira.features.windows.sliding import Window

if TYPE_CHECKING:
    from pathlib import Path

US = timedelta(microseconds=1)
MEASURES = {
    "n": Count(),
    "total": Sum("x"),
    "mean": Mean("x"),
    "most": Max("x"),
    "kinds": Distinct("x"),
    "newest": Last("x"),
}
PLAIN = FeatureView("plain", ("k",), ("x",), "t", created_time="known", ttl=30 * US)
TIMELESS = replace(PLAIN, name="timeless", created_time=None, ttl=None)
WINDOW = Window(("k",), "event_ts", 12 * US, 4 * US, MEASURES)
LATE = FeatureView("late", ("k",), tuple(MEASURES), "t", window=WINDOW)
KNOWN = replace(LATE, name="known", window=replace(WINDOW, created="known"), ttl=25 * US)
VIEWS = (PLAIN, TIMELESS, LATE, KNOWN)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH", 7)
    monkeypatch.setattr(recent, "SHARD", 9)


def assert_exact(world: World, view: FeatureView, until: int) -> None:
    assert world.online(view, until) == world.offline(view, until)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_after_any_commits_and_ends_online_is_what_training_sees(
    world: World, view: FeatureView, seed: int, tmp_path: Path
) -> None:
    chance, until = random.Random(seed), 0
    for part in commits(chance, 9):
        world.tables.append("t", part)
        if chance.random() < 0.2:
            world.tables.compact("t")
        if chance.random() < 0.7:
            until = min(LAST + 20, until + chance.choice([0, 1, 5, 20, 60]))
            world.materialize(view, until)
            assert_exact(world, view, until)
    world.materialize(view, LAST + 40)
    assert_exact(world, view, LAST + 40)
    stored = world.changed_last(view)
    at_once = World(tmp_path / "again")
    at_once.tables = world.tables
    at_once.materialize(view, LAST + 40)
    assert at_once.changed_last(view) == stored


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_doing_it_again_changes_nothing(world: World, view: FeatureView) -> None:
    for part in commits(random.Random(1), 5):
        world.tables.append("t", part)
    first = world.materialize(view, LAST)
    assert first.rows > 0
    assert first.source == world.tables.version("t")
    runs = world.ledger.runs(view.name)
    again = world.materialize(view, LAST)
    assert (again.rows, again.until, again.is_behind) == (0, from_micros(LAST), False)
    assert world.materialize(view, LAST, backfill=True).rows == 0
    assert world.ledger.runs(view.name)[: len(runs)] == runs


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_only_new_commits_are_read(world: World, view: FeatureView, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tables.append("t", events_of([("a", 5, 5, 1)]))
    world.materialize(view, LAST)
    world.tables.append("t", events_of([("b", LAST, LAST, 2)]))
    seen: list[Any] = []
    scan = world.tables.scan

    def watched(name: str, **asked: Any) -> Any:
        for batch in scan(name, **asked):
            seen.extend(batch["k"].to_pylist())
            yield batch

    monkeypatch.setattr(world.tables, "scan", watched)
    world.materialize(view, LAST + 4)
    assert set(seen) == {"b"}


def test_a_row_of_an_old_commit_comes_in_when_its_time_has_come(world: World) -> None:
    world.tables.append(
        "t", events_of([("a", 5, 5, 1), ("a", 50, 50, 2), ("b", 5, 60, 3), ("c", 5, None, 4)])
    )
    found = []
    for until in (10, 49, 50, 70):
        world.materialize(TIMELESS, until)
        world.materialize(PLAIN, until)
        assert_exact(world, PLAIN, until)
        found.append([row["timeless__x"] for row in world.online(TIMELESS, until)[:2]])
    assert found == [[1.0, 3.0], [1.0, 3.0], [2.0, 3.0], [2.0, 3.0]]
    entry = world.ledger.entry(PLAIN)
    assert (entry.due, entry.until) == (None, 70)


def test_nothing_is_read_before_the_next_row_is_due(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tables.append("t", events_of([("a", 5, 5, 1), ("a", 50, 70, 2)]))
    world.materialize(PLAIN, 10)
    assert world.ledger.entry(PLAIN).due == 70
    with monkeypatch.context() as patch:
        patch.setattr(world.tables, "scan", None)
        world.materialize(PLAIN, 69)
    world.materialize(PLAIN, 70)
    assert_exact(world, PLAIN, 70)


def test_the_next_row_that_is_due_may_stand_in_any_batch(world: World) -> None:
    world.tables.append("t", events_of([("a", 50, 50, 1), *[("b", 5, 5, x) for x in range(20)]]))
    world.materialize(PLAIN, 10)
    assert world.ledger.entry(PLAIN).due == 50


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_backfill_beside_newer_rows_replaces_none_of_them(world: World, view: FeatureView) -> None:
    for part in commits(random.Random(3), 6):
        world.tables.append("t", part)
    world.materialize(view, LAST)
    before = world.online(view, LAST), world.changed_last(view)
    done = world.materialize(view, 10, backfill=True)
    assert (done.rows, done.until) == (0, from_micros(LAST))  # at least up to where the view stood
    assert (world.online(view, LAST), world.changed_last(view)) == before


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_store_that_was_lost_is_filled_from_the_beginning(world: World, view: FeatureView) -> None:
    for part in commits(random.Random(4), 5):
        world.tables.append("t", part)
    world.materialize(view, LAST)
    world.store = MemoryStore()
    world.materialize(view, LAST)
    assert_exact(world, view, LAST)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_store_that_was_lost_is_filled_at_least_up_to_where_it_stood(
    world: World, view: FeatureView
) -> None:
    for part in commits(random.Random(4), 5):
        world.tables.append("t", part)
    world.materialize(view, LAST)
    world.store = MemoryStore()
    assert world.materialize(view, 10).until == from_micros(LAST)
    assert_exact(world, view, LAST)


def test_a_store_that_was_lost_in_the_middle_is_filled_whole_whenever_that_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tables.append("t", events_of([(key, 5, 5, 1) for key in "abcd" for _ in range(7)]))

    def cut_off_after(writes: int) -> None:
        write, done = world.store.write, list[int]()

        def failing(*given: Any) -> int:
            done.append(write(*given))
            if len(done) == writes:
                raise ServiceUnreachable("Store", "here", "down")
            return done[-1]

        with monkeypatch.context() as patch:
            patch.setattr(world.store, "write", failing)
            with pytest.raises(ServiceUnreachable):
                world.materialize(PLAIN, 9)

    cut_off_after(3)
    world.store = MemoryStore()
    cut_off_after(1)
    world.materialize(PLAIN, 9)
    assert_exact(world, PLAIN, 9)


def test_rows_that_others_had_stored_are_on_the_disk_before_the_ledger_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = events_of([("a", 5, 5, 1)])
    world.tables.append("t", rows)
    world.store.write(PLAIN, rows)  # as a push does, and a run that is killed before its first line
    keep, sync, happened = world.ledger.keep, world.store.sync, list[str]()
    monkeypatch.setattr(world.ledger, "keep", lambda entry: (happened.append("line"), keep(entry)))
    monkeypatch.setattr(world.store, "sync", lambda: (happened.append("sync"), sync()))
    assert world.materialize(PLAIN, 9).rows == 0
    assert happened == ["sync", "line"]


def test_a_store_that_others_had_filled_first_is_missed_too(world: World) -> None:
    rows = events_of([("a", 5, 5, 1), ("b", 8, 8, 2)])
    world.tables.append("t", rows)
    world.store.write(PLAIN, rows)  # as a push does
    assert world.materialize(PLAIN, 9).rows == 0
    world.store = MemoryStore()
    assert world.materialize(PLAIN, 9).rows == 2
    assert_exact(world, PLAIN, 9)


def test_an_end_before_the_last_one_changes_nothing_and_says_so(world: World) -> None:
    world.tables.append("t", events_of([("a", 5, 5, 1), ("a", 8, 8, 2)]))
    world.materialize(PLAIN, 8)
    world.tables.append("t", events_of([("a", 7, 7, 3), ("b", 1, 1, 4)]))
    done = world.materialize(PLAIN, 7)
    assert (done.is_behind, done.rows, done.until) == (True, 0, from_micros(8))
    assert done.source == world.tables.version("t", 0)
    assert world.store.read("plain", ("b",)) is None


def test_the_future_and_a_time_without_zone_are_refused_before_anything_is_done(world: World) -> None:
    world.tables.append("t", events_of([("a", 5, 5, 1)]))
    with pytest.raises(FutureEnd):
        world.materialize(PLAIN, world.clock.micros() + 1)
    naive = from_micros(9).replace(tzinfo=None)
    with pytest.raises(NaiveTime):
        materialize_view(PLAIN, world.tables, world.store, world.ledger, until=naive)
    assert world.ledger.entries() == []


def test_a_view_that_means_something_else_now_is_refused_until_its_version_is_raised(world: World) -> None:
    world.tables.append("t", events_of([("a", 5, 5, 1)]))
    world.materialize(PLAIN, 9)
    changed = replace(PLAIN, created_time=None)
    with pytest.raises(DefinitionChanged, match="raise the view's version"):
        world.materialize(changed, 9)
    raised = replace(changed, version=2)
    world.materialize(raised, 9)
    assert_exact(world, raised, 9)
    assert_exact(world, PLAIN, 9)


def test_a_source_that_is_not_there_and_one_that_was_replaced_are_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="table 't'"):
        world.materialize(PLAIN, 9)
    for x in (1, 2):
        world.tables.append("t", events_of([("a", 5, 5, x)]))
    world.materialize(PLAIN, 9)
    world.tables = World(tmp_path / "other").tables
    world.tables.append("t", events_of([("a", 5, 5, 3)]))
    with pytest.raises(SourceReplaced, match="from t@1, which is gone; restore"):
        world.materialize(PLAIN, 9)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_progress_goes_up_to_all_rows(world: World, view: FeatureView) -> None:
    for part in commits(random.Random(5), 6):
        world.tables.append("t", part)
    told: list[tuple[int, int]] = []
    world.materialize(view, LAST, on_progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {told[0][1]}
    assert told[-1][0] == told[-1][1] >= world.tables.version("t").rows


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("killed", ["before", "after"])
def test_a_write_that_fails_is_where_the_next_run_goes_on(
    world: World, view: FeatureView, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in commits(random.Random(6), 6):
        world.tables.append("t", part)
    write, failures = world.store.write, [0]

    def failing(*given: Any) -> int:
        failures[0] += 1
        if failures[0] % 3 == 0:
            if killed == "after":  # the store has it, and the ledger does not
                write(*given)
            raise ServiceUnreachable("Store", "here", "down")
        return write(*given)

    monkeypatch.setattr(world.store, "write", failing)
    positions = []
    while True:
        try:
            world.materialize(view, LAST)
            break
        except ServiceUnreachable:
            run = world.ledger.entry(view).run
            positions.append((0, 0) if run is None else (run.part, run.position))
    assert positions == sorted(positions)
    assert len(set(positions)) > 1
    assert_exact(world, view, LAST)


def test_a_backfill_begins_anew_whatever_run_was_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tables.append("t", events_of([("a", 5, 5, 1)]))
    world.materialize(PLAIN, 9)
    world.tables.append("t", events_of([("b", 6, 6, 2)]))
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "finish", None)
        with pytest.raises(TypeError):
            world.materialize(PLAIN, 9)
    world.store = MemoryStore()
    world.store.write(PLAIN, events_of([("c", 7, 7, 3)]))  # the view is known there, and its rows are gone
    assert world.materialize(PLAIN, 9, backfill=True).rows == 2


def test_commits_that_came_while_a_run_was_cut_off_come_in_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in commits(random.Random(8), 4):
        world.tables.append("t", part)
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "finish", None)
        with pytest.raises(TypeError):
            world.materialize(LATE, 60)
    assert world.ledger.entry(LATE).status == "running"
    world.tables.compact("t")
    world.tables.vacuum("t", older_than=timedelta(0))
    for part in commits(random.Random(9), 4):
        world.tables.append("t", part)
    world.materialize(LATE, LAST)
    assert_exact(world, LATE, LAST)
    assert [run.version for run, _ in world.ledger.runs("late")] == [3, 8]
