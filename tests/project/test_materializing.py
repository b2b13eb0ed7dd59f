"""The views of a project are brought online by name, each from its own table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.project.test_feed import offline, online
from tests.project.worlds import HOUR, LIVE

from esteira.base.errors import UnknownName
from esteira.features.ledger import FutureEnd
from esteira.project.materializing import materialize_all
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path


def test_all_views_stand_where_training_stands(station: Station) -> None:
    told: list[tuple[str, int, int]] = []
    done = materialize_all(
        station, until=LIVE - HOUR, on_progress=lambda name, *rows: told.append((name, *rows))
    )
    assert [each.view for each in done] == ["climate", "pump_day"]
    assert all(each.rows for each in done)
    assert online(station, LIVE - HOUR) == offline(station, LIVE - HOUR)
    assert {name for name, _, _ in told} == {"climate", "pump_day"}
    assert next(each.rows for each in materialize_all(station)) == 0  # until now, where nothing new is
    assert [each.rows for each in materialize_all(station, backfill=True)] == [0, 0]


def test_a_view_is_materialized_by_its_name_alone(station: Station) -> None:
    (done,) = materialize_all(station, names=["climate"])
    assert (done.view, done.until) == ("climate", LIVE)
    assert [entry.view for entry in station.ledger.entries()] == ["climate"]


def test_a_name_that_no_view_has_is_refused_before_anything_is_done(station: Station) -> None:
    with pytest.raises(UnknownName, match="unknown view 'climat'; did you mean 'climate'"):
        materialize_all(station, names=["pump_day", "climat"])
    with pytest.raises(FutureEnd):
        materialize_all(station, until=LIVE + HOUR)
    assert station.ledger.entries() == []


def test_a_table_that_is_not_there_yet_has_nothing_to_bring(fresh: Path) -> None:
    done = materialize_all(open_station(fresh))
    assert [(each.view, each.rows, each.source) for each in done] == [
        ("climate", 0, None),
        ("pump_day", 0, None),
    ]
