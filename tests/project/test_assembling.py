from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
import pytest
from tests.project.worlds import HOUR, LIVE, lay

from esteira.project.assembling import Assembly, NoQuestions, assemble
from esteira.project.ingesting import ingest_new
from esteira.project.station import open_station

if TYPE_CHECKING:
    from pathlib import Path

WITHOUT_SPINE = (
    ("def questions(spine: pa.Table,", "def questions(events: pa.Table,"),
    ("point_in_time_join(spine,", "point_in_time_join(events,"),
    ("steps=[spine, questions,", "steps=[questions,"),
)


def assembled(folder: Path, *changes: tuple[str, str]) -> Assembly:
    lay(folder, *changes)
    station = open_station(folder)
    ingest_new(station, LIVE - HOUR)
    return assemble(station)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return assembled(tmp_path_factory.mktemp("assembled"))


def test_the_questions_come_from_the_first_step_that_knows_when_they_were_asked(sample: Assembly) -> None:
    assert (sample.spine, [*sample.fixed]) == ("spine", ["spine"])
    assert {*sample.given} == {"climate", "pump_day"}


def test_built_from_what_it_was_made_of_the_training_set_is_the_same(sample: Assembly) -> None:
    world = sample.world()
    assert sample.build(world.questions.rows, world.tables()).equals(sample.rows)


def test_other_rows_and_other_questions_make_another_training_set(sample: Assembly) -> None:
    world = sample.world()
    tables = world.tables()
    without = sample.build(world.questions.rows, tables | {"climate": tables["climate"].slice(0, 0)})
    assert without["climate__heat"].null_count == without.num_rows == sample.rows.num_rows
    assert without["pump_day__runs"].equals(sample.rows["pump_day__runs"])
    fewer = sample.build(world.questions.rows.slice(100), tables)
    assert fewer["event_id"].to_pylist() == sample.rows["event_id"].to_pylist()[100:]


def test_a_world_knows_when_rows_and_outcomes_were_published(sample: Assembly) -> None:
    world = sample.world()
    questions, events, views = world.questions, world.sources["pump_day"], sample.station.project.views
    assert (questions.at, questions.id, questions.target) == ("asked_at", "event_id", "failed")
    assert questions.features == ("load", "firmware", *(c for view in views for c in view.columns))
    for known, rows in ((questions.known_us, questions.rows), (events.known_us, events.rows)):
        assert known.tolist() == rows["published_at"].cast("int64").to_pylist()
    assert (
        events.since_us % (HOUR // timedelta(microseconds=1)) == 0
    ).all()  # a window shows its events at the next hop
    assert (events.known_us <= events.since_us).all()
    assert world.sources["climate"].keys == ("site",)


def test_a_window_shows_a_late_event_when_it_was_known(tmp_path: Path) -> None:
    late = (
        "published = -(-happened // HOUR_US) * HOUR_US",
        "published = -(-happened // HOUR_US - 2) * HOUR_US",
    )
    created = ('"fail_share": Mean("failed")})', '"fail_share": Mean("failed")}, created="published_at")')
    for changes, shows_early in (((late,), True), ((late, created), False)):
        found = assembled(tmp_path / str(shows_early), *changes).world().sources["pump_day"]
        assert (found.since_us < found.known_us).any() == shows_early


def test_without_a_step_the_questions_come_from_the_table_that_has_the_time(tmp_path: Path) -> None:
    found = assembled(tmp_path, *WITHOUT_SPINE)
    assert (found.spine, {*found.given}) == ("events", {"climate", "pump_day"})
    world = found.world()
    assert found.build(world.questions.rows, world.tables()).equals(found.rows)


def test_steps_that_need_no_view_are_not_all_of_it_when_they_make_features_themselves(tmp_path: Path) -> None:
    highest = 'pa.array([pc.max(measurements["heat"]).as_py()] * spine.num_rows)'
    by_hand = (
        ("climate: BoundView, pump_day: BoundView)", "measurements: pa.Table)"),
        (
            'point_in_time_join(spine, [climate, pump_day], at="asked_at")',
            f'spine.append_column("hottest", {highest})',
        ),
        ('"firmware", *(column for view in VIEWS for column in view.columns))', '"firmware", "hottest")'),
        ("columns=COLUMNS, views=tuple(view.ref() for view in VIEWS)", "columns=COLUMNS"),
    )
    found = assembled(tmp_path, *by_hand)
    assert (found.spine, {*found.given}) == ("spine", {"measurements"})
    assert found.world().questions.features == ("load", "firmware", "hottest")


def test_questions_without_a_name_are_told_apart_by_nothing(tmp_path: Path) -> None:
    nameless = 'events.filter(recent).sort_by([("asked_at", "ascending"), ("event_id", "ascending")])'
    found = assembled(tmp_path, (nameless, f'{nameless}.drop_columns(["event_id"])'))
    world = found.world()
    assert world.questions.id == ""
    np.testing.assert_array_equal(world.questions.known_us, world.questions.asked_us + 1)


def test_a_time_column_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoQuestions, match="no table that step 'train' is made of has the time column 'when'"):
        assembled(tmp_path, ('baseline="baseline",', 'baseline="baseline",\n    time="when",'))


def test_the_run_stands_for_the_newest_data(sample: Assembly) -> None:
    newest = pc.max(sample.fixed["spine"]["published_at"]).as_py()
    assert newest == LIVE - HOUR
