from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import DAY, HOUR, LIVE

from esteira.base.errors import NotFound, UnknownName
from esteira.features.windows.sliding import window_rows
from esteira.project.ingesting import ingest_new
from esteira.project.release import train
from esteira.project.running import TableInput, bind, graph_of, last_reason, run_pipeline
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path


def test_tables_and_views_are_pinned_to_what_there_is_now(station: Station) -> None:
    graph = graph_of(station)
    assert graph.inputs["events"].identity == "events@0"
    assert graph.inputs["climate"].identity.startswith("climate:")
    assert graph.inputs["climate"].identity.endswith(":measurements@0")
    ingest_new(station, LIVE)
    assert graph_of(station).inputs["events"].identity == "events@1"


def test_the_pins_of_an_earlier_run_bring_back_its_rows(station: Station) -> None:
    earlier = station.journal.runs()[-1]
    ingest_new(station, LIVE + DAY)
    graph = graph_of(station, earlier.inputs)
    assert {name: each.identity for name, each in graph.inputs.items()} == earlier.inputs
    events = graph.inputs["events"].resolve()
    assert events.num_rows == station.tables.version("events", 0).rows


def test_a_view_pins_its_source_though_no_step_takes_that_table(station: Station) -> None:
    ingest_new(station, LIVE + DAY)
    only_the_view = {"climate": "climate:0123:measurements@0"}
    assert graph_of(station, only_the_view).inputs["measurements"].identity == "measurements@0"


def test_the_definition_of_a_view_is_part_of_its_identity(station: Station) -> None:
    before = graph_of(station).inputs
    climate, pump_day = station.project.views
    views = (replace(climate, ttl=timedelta(hours=4)), pump_day)
    station.__dict__["project"] = replace(station.project, views=views)
    after = graph_of(station).inputs
    assert before["climate"].identity != after["climate"].identity
    assert before["pump_day"].identity == after["pump_day"].identity


def test_versions_of_a_view_stand_side_by_side(station: Station) -> None:
    climate, pump_day = station.project.views
    newer = replace(climate, ttl=timedelta(hours=9), version=2)
    station.__dict__["project"] = replace(station.project, views=(newer, climate, pump_day))
    inputs = graph_of(station).inputs
    assert inputs["climate_v2"].identity == inputs["climate"].identity


def test_a_windowed_view_is_made_of_its_events(station: Station) -> None:
    pump_day, events = station.project.views[1], station.tables.read("events")
    assert pump_day.window is not None
    assert bind(pump_day, events).rows.equals(window_rows(events, pump_day.window))
    assert bind(station.project.views[0], events).rows is events


def test_a_table_input_reads_its_own_version(station: Station) -> None:
    first = TableInput(station.tables, "events", 0)
    ingest_new(station, LIVE + DAY)
    assert first.resolve().num_rows < station.tables.version("events").rows


def test_tables_that_were_never_filled_say_how_to_fill_them(fresh: Path) -> None:
    with pytest.raises(NotFound, match="fill it first with: esteira run"):
        graph_of(open_station(fresh))


def test_only_what_the_targets_need_is_run(station: Station) -> None:
    outcome = run_pipeline(station, {"until": LIVE - HOUR}, targets=["train"])
    assert list(outcome.steps) == ["spine", "questions", "train"]


def test_the_reason_of_a_step_is_of_the_newest_run_that_reached_it(station: Station) -> None:
    train(station, parameters={"seed": 8})
    assert last_reason(station, "model").reason == "ran: parameter seed changed"
    assert last_reason(station, "spine").reason == "hit"


def test_an_unknown_step_is_named_with_its_neighbour(station: Station) -> None:
    with pytest.raises(UnknownName, match="did you mean 'model'"):
        last_reason(station, "modell")


def test_a_step_that_no_run_reached_says_so(fresh: Path) -> None:
    with pytest.raises(NotFound, match="esteira run"):
        last_reason(open_station(fresh), "model")
