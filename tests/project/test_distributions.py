from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pytest
from tests.project.worlds import LIVE, lay

from esteira.features.windows.sliding import window_rows
from esteira.project import distributions
from esteira.project.distributions import statistics
from esteira.project.ingesting import ingest_new
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path


def test_the_statistics_are_those_of_the_newest_version(station: Station) -> None:
    told = statistics(station, station.project.views[0])
    rows = station.tables.read("measurements")
    assert told is not None
    assert (told.source, told.source_rows, told.rows) == (0, rows.num_rows, rows.num_rows)
    assert told.newest_event == pc.max(rows["observed_at"]).as_py()
    assert told.newest_known == pc.max(rows["published_at"]).as_py()
    (heat,) = told.features
    assert heat.nulls == rows["heat"].null_count
    assert heat.mean == pytest.approx(pc.mean(rows["heat"]).as_py())


def test_of_a_window_the_rows_are_described_and_the_freshness_is_that_of_its_events(station: Station) -> None:
    view = station.project.views[1]
    told = statistics(station, view)
    events = station.tables.read("events")
    assert view.window is not None
    assert told is not None
    assert told.rows == window_rows(events, view.window).num_rows
    assert told.source_rows == events.num_rows
    assert told.newest_event == pc.max(events["happened_at"]).as_py()
    assert told.newest_known is None
    assert [each.feature for each in told.features] == ["runs", "fail_share"]


def test_a_window_of_events_that_are_known_late_tells_when_the_newest_was_known(station: Station) -> None:
    view = station.project.views[1]
    assert view.window is not None
    told = statistics(station, replace(view, window=replace(view.window, created="published_at")))
    assert told is not None
    assert told.newest_known == pc.max(station.tables.read("events")["published_at"]).as_py()


def test_they_are_computed_once_for_each_version(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    view = station.project.views[0]
    first = statistics(station, view)
    with monkeypatch.context() as patch:
        patch.setattr(distributions, "describe_feature", None)  # nothing is described again
        assert statistics(open_station(station.settings.root), view) == first
    ingest_new(station, LIVE)
    second = statistics(station, view)
    assert second is not None
    assert second.source == 1
    assert len([*(station.settings.home / "statistics").iterdir()]) == 1  # the old ones are not kept


def test_what_was_kept_and_cannot_be_read_is_computed_again(station: Station) -> None:
    view = station.project.views[0]
    first = statistics(station, view)
    (path,) = (station.settings.home / "statistics").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    assert statistics(station, view) == first


def test_before_the_first_rows_there_are_none(tmp_path: Path) -> None:
    station = open_station(lay(tmp_path / "pump"))
    assert statistics(station, station.project.views[0]) is None
