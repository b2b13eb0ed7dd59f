from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import HOUR, LIVE, lay, rewrite

from esteira.base.errors import ServiceUnreachable, UnknownName
from esteira.project.catalog import OnlineState, OnlineStatus, catalog, entry_of, find_view, search
from esteira.project.ingesting import ingest_new
from esteira.project.materializing import materialize_all
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '    source="measurements",'
DESCRIBED = (SOURCE, f'{SOURCE}\n    description="Heat at the site",')
TWICE = (
    "VIEWS = (climate, pump_day)",
    'later = FeatureView("climate", ("site",), ("heat",), "measurements", "observed_at", version=2)\n'
    "VIEWS = (climate, pump_day, later)",
)


def test_the_catalog_tells_what_each_view_is_and_who_uses_it(two: Station) -> None:
    climate, pump_day = catalog(two)
    assert (climate.name, climate.keys, climate.ttl, climate.window) == ("climate", ("site",), "3 h", "")
    assert (climate.event_time, climate.created_time) == ("observed_at", "published_at")
    assert climate.newest == two.tables.version("measurements")
    assert climate.steps == ("questions",)
    assert climate.models == (2, 1)
    assert climate.on_demand == {}
    assert (pump_day.ttl, pump_day.window, pump_day.event_time) == ("", "1 d / 1 h", "happened_at")


def test_every_feature_is_led_back_to_its_column(station: Station) -> None:
    climate, pump_day = catalog(station)
    assert [each.path for each in climate.origins] == ["measurements.heat"]
    assert [each.path for each in pump_day.origins] == ["count(events)", "mean(events.failed)"]


def test_a_project_in_which_nothing_happened_has_a_catalog(fresh: Path) -> None:
    for entry in catalog(open_station(fresh)):
        assert (entry.newest, entry.models, entry.online) == (None, (), OnlineState(OnlineStatus.NEW))


def test_the_online_state_follows_what_the_ledger_says(station: Station) -> None:
    def state() -> OnlineState:
        return catalog(station)[0].online

    assert state().status is OnlineStatus.NEW
    materialize_all(station)
    assert state() == OnlineState(OnlineStatus.CURRENT, 0, LIVE)
    ingest_new(station, LIVE)
    assert state().status is OnlineStatus.BEHIND
    rewrite(station.settings.root, ("ttl=timedelta(hours=3)", "ttl=timedelta(hours=1)"))
    assert catalog(open_station(station.settings.root))[0].online.status is OnlineStatus.CHANGED


def test_a_ledger_that_does_not_answer_does_not_take_the_catalog_with_it(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(view: object) -> None:
        raise ServiceUnreachable("PostgreSQL", "nowhere", "refused")

    monkeypatch.setattr(station.ledger, "entry", away)
    assert {entry.online.status for entry in catalog(station)} == {OnlineStatus.UNREACHABLE}


def test_each_version_of_a_view_is_an_entry_of_its_own(fresh: Path) -> None:
    rewrite(fresh, TWICE)
    first, _, second = catalog(open_station(fresh))
    assert (first.name, second.name) == ("climate", "climate_v2")
    assert (first.steps, second.steps) == ((), ("questions",))  # by the name alone a step gets the newest


def test_a_name_that_no_view_has_is_refused_with_the_nearest(station: Station) -> None:
    climate = station.project.views[0]
    assert find_view(station, "climate") is climate
    assert entry_of(station, climate).name == "climate"
    with pytest.raises(UnknownName, match="did you mean 'climate'"):
        find_view(station, "climat")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("heat", ["climate"]),
        ("HEAT measurements", ["climate"]),
        ("at the site", ["climate"]),
        ("questions", ["climate", "pump_day"]),
        ("mean", ["pump_day"]),
        ("fail_share", ["pump_day"]),
        ("heat fail_share", []),
        ("", ["climate", "pump_day"]),
    ],
)
def test_search_finds_the_views_that_have_every_word(fresh: Path, text: str, found: list[str]) -> None:
    rewrite(fresh, DESCRIBED)
    assert [entry.name for entry in search(open_station(fresh), text)] == found


def test_a_description_decides_nothing(tmp_path: Path) -> None:
    plain, told = (
        open_station(lay(tmp_path / name, *changes)).project.views[0]
        for name, changes in (("plain", ()), ("told", (DESCRIBED,)))
    )
    assert told.description == "Heat at the site"
    assert told.definition() == plain.definition()


def test_features_alone_are_a_project(fresh: Path) -> None:
    path = fresh / "pumps.py"
    views = path.read_text(encoding="utf-8").partition("@step")[0]
    path.write_text(f'{views}project = Project("pump", [], SOURCES, VIEWS)\n', encoding="utf-8")
    station = open_station(fresh)
    ingest_new(station, LIVE - HOUR)
    materialize_all(station)
    assert [(each.steps, each.online.status) for each in catalog(station)] == [((), "current")] * 2
