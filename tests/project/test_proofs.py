from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.project.worlds import DAY, HOUR, LIVE, answer, lay

from esteira.features.proofs.verify import FOREIGN, STALE
from esteira.project.feed import OnlineFeed
from esteira.project.ingesting import ingest_new
from esteira.project.proofs import FeaturesVerified, LeaksSearched, find_leaks, verify_features
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path

WINDOW = '"happened_at", 24 * HOUR'
CREATED = '    created_time="published_at",\n'
JOIN = 'point_in_time_join(spine, [climate, pump_day], at="asked_at")'
SPINE = 'return events.filter(recent).sort_by([("asked_at", "ascending"), ("event_id", "ascending")])'
FIRST = 'COLUMNS = ("load",'
MEASUREMENTS = ("pump_day: BoundView)", "pump_day: BoundView, measurements: pa.Table)")


def found(folder: Path, *changes: tuple[str, str]) -> LeaksSearched:
    """What two cutoffs find in the sample project with some of its text changed."""
    lay(folder, *changes)
    station = open_station(folder)
    ingest_new(station, LIVE - HOUR)
    return find_leaks(station, cutoffs=2)


def columns(searched: LeaksSearched) -> set[str]:
    return {name for leak in searched.leaks for name in leak.columns}


def test_the_sample_project_leaks_nothing_and_nothing_of_the_search_stays(tmp_path: Path) -> None:
    searched = found(tmp_path)
    assert searched.passed
    assert (searched.training_set, searched.spine) == ("train", "spine")
    assert (searched.leaks, searched.risks) == ((), ())
    assert (searched.searched.futures, searched.searched.undecided) == (6, ())
    assert searched.searched.cells > searched.searched.questions * 5
    station = open_station(tmp_path)
    assert station.journal.runs() == []
    assert station.artifacts.count() == 0


def test_a_window_over_the_start_of_its_events_is_a_leak_and_a_risk(tmp_path: Path) -> None:
    searched = found(tmp_path, (WINDOW, '"asked_at", 24 * HOUR'))
    assert not searched.passed
    assert columns(searched) == {"pump_day__runs", "pump_day__fail_share"}
    assert {leak.check for leak in searched.leaks} == {"truncation", "mutation", "own outcome"}
    example = searched.leaks[0].example
    assert example is not None
    assert example.question.startswith("e0")
    assert example.value != example.without
    assert [risk.what for risk in searched.risks] == ["view 'pump_day' shows rows before they were published"]


@pytest.mark.slow
def test_a_view_without_the_created_time_of_its_table_is_a_leak_and_a_risk(tmp_path: Path) -> None:
    searched = found(tmp_path, (CREATED, ""))
    assert columns(searched) == {"climate__heat"}
    assert searched.leaks[0].cause == "rows answer before they were known"
    (risk,) = searched.risks
    assert risk.rows == open_station(tmp_path).tables.version("measurements").rows
    assert "created_time" in risk.mend


@pytest.mark.slow
def test_a_join_that_does_not_ask_what_was_known_is_a_leak(tmp_path: Path) -> None:
    searched = found(tmp_path, (JOIN, JOIN.replace("at=", "as_known=False, at=")))
    assert columns(searched) == {"climate__heat"}
    assert searched.risks == ()


@pytest.mark.slow
def test_a_column_scaled_over_all_rows_is_a_leak(tmp_path: Path) -> None:
    scaled = f"""(
        lambda rows: rows.set_column(
            rows.schema.get_field_index("climate__heat"),
            "climate__heat",
            pc.divide(rows["climate__heat"], pc.mean(rows["climate__heat"])),
        )
    )({JOIN})"""
    searched = found(tmp_path, (JOIN, scaled))
    assert columns(searched) == {"climate__heat"}
    assert any("made of all rows" in leak.cause for leak in searched.leaks)


def test_an_answer_among_the_request_is_found(tmp_path: Path) -> None:
    known = '.append_column("verdict", events.filter(recent)["failed"])'
    with_answer = SPINE.replace(".sort_by", f"{known}.sort_by")
    searched = found(tmp_path, (SPINE, with_answer), (FIRST, 'COLUMNS = ("verdict", "load",'))
    assert [(leak.check, leak.columns) for leak in searched.leaks] == [("answer", ("verdict",))]


@pytest.mark.slow
def test_a_table_that_a_step_reads_by_itself_is_looked_at_too(tmp_path: Path) -> None:
    highest = 'pa.array([pc.max(measurements["heat"]).as_py()] * spine.num_rows)'
    hottest = f'{JOIN}.append_column("hottest", {highest})'
    searched = found(
        tmp_path,
        MEASUREMENTS,
        (JOIN, hottest),
        (FIRST, 'COLUMNS = ("hottest", "load",'),
    )
    assert columns(searched) == {"hottest"}


@pytest.mark.slow
def test_a_table_of_which_nobody_knows_when_is_a_risk(tmp_path: Path) -> None:
    searched = found(
        tmp_path,
        MEASUREMENTS,
        (
            '_published(measurements), checks=(InRange("heat", -40, 60),)',
            '_published(measurements), published="sent_at"',
        ),
    )
    assert searched.passed
    (risk,) = searched.risks
    assert "nobody says when rows of table 'measurements' were known" in risk.what


@pytest.mark.slow
def test_requests_that_carried_something_else_are_found(station: Station) -> None:
    answer(station, 6)
    ingest_new(station, LIVE + 6 * DAY)
    assert find_leaks(station, cutoffs=1).passed
    row = station.tables.read("predictions").slice(0, 1)
    vector = row["vector"][0].as_py()
    forged = pa.array([[vector[0] + 1, *vector[1:]]])
    station.tables.append("predictions", row.set_column(row.column_names.index("vector"), "vector", [forged]))
    (leak,) = find_leaks(station, cutoffs=1).leaks
    assert (leak.check, leak.columns, leak.cells, leak.rows) == ("request", ("load",), 1, 1)
    assert leak.example is not None
    assert leak.example.question == row["id"][0].as_py()
    assert leak.example.without == leak.example.value + 1


# online and offline


def fed(station: Station) -> Station:
    OnlineFeed(station.project.views, station.online, station.ledger).catch_up(
        station.tables, station.clock.now()
    )
    return station


def test_a_store_that_was_fed_passes(station: Station) -> None:
    found = verify_features(fed(station))
    assert found.passed
    assert found.at == station.clock.now()
    assert [(view.view, view.keys, view.cells) for view in found.views] == [
        ("climate", 3, 3),
        ("pump_day", 12, 24),
    ]
    assert found.logged is None


def test_a_store_that_was_never_fed_is_stale(station: Station) -> None:
    found = verify_features(station)
    assert not found.passed
    assert [view.causes for view in found.views] == [{STALE: 3}, {STALE: 24}]


def test_a_row_written_by_hand_is_found(station: Station) -> None:
    fed(station)
    forged = pa.table(
        {
            "site": ["S1"],
            "observed_at": pa.array([LIVE - HOUR], pa.timestamp("us", tz="UTC")),
            "published_at": pa.array([LIVE - HOUR], pa.timestamp("us", tz="UTC")),
            "heat": [99.0],
        }
    )
    station.online.write(station.project.views[0], forged)
    climate, pump_day = verify_features(station).views
    assert (climate.differing, climate.causes) == (1, {FOREIGN: 1})
    assert climate.examples[0].online == 99
    assert pump_day.passed


def test_a_sample_of_keys_is_enough_and_progress_is_told(station: Station) -> None:
    heard: list[tuple[str, float]] = []
    found = verify_features(
        fed(station), sample=5, at=LIVE, on_progress=lambda what, done: heard.append((what, done))
    )
    assert [view.keys for view in found.views] == [3, 5]
    assert [what for what, _ in heard] == ["view climate", "view pump_day", "logged vectors"]
    assert [done for _, done in heard] == pytest.approx([0, 1 / 3, 2 / 3])


def test_logged_vectors_are_verified_with_the_keys_of_the_rehearsal(station: Station) -> None:
    answer(station, 1)
    ingest_new(station, LIVE + DAY)
    found = verify_features(fed(station))
    assert found.logged is not None
    assert (found.logged.predictions, found.logged.cells, found.logged.passed) == (96, 288, True)
    assert found.passed
    wrong = replace(found.logged, differing=1)
    assert not FeaturesVerified(found.at, found.views, wrong).passed
