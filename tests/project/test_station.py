from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import LIVE, lay

from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path


def test_opening_a_station_reads_settings_and_nothing_else(tmp_path: Path) -> None:
    (lay(tmp_path) / "pumps.py").write_text("raise ValueError\n", encoding="utf-8")
    open_station(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["esteira.toml", "pumps.py"]


def test_without_settings_there_is_no_station(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="esteira init NAME"):
        open_station(tmp_path)


def test_settings_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "esteira.toml").write_text('[stores]\ntabels = "x"\n', encoding="utf-8")
    with pytest.raises(UnknownName, match="did you mean 'tables'"):
        open_station(tmp_path)
    (tmp_path / "esteira.toml").write_text("[stores\n", encoding="utf-8")
    with pytest.raises(BadInput, match="is not valid TOML"):
        open_station(tmp_path)


def test_every_store_lies_in_the_folder(station: Station) -> None:
    home = station.settings.home
    assert home.parent == station.settings.root
    assert station.state.path == home / "state.db"
    assert station.artifacts.root == home / "artifacts"
    assert station.tables.names() == ["events", "events_quarantine", "measurements"]
    assert station.promotions.history("pump")[-1].version == 1
    assert station.rollouts.active("pump") is None
    assert station.ledger.entries() == []
    assert (home / "features.db").is_file()


def test_a_store_is_opened_once(station: Station) -> None:
    assert station.tables is station.tables
    assert station.audit is station.audit


def test_what_is_done_is_recorded_under_the_name_of_the_actor(made: Path, station: Station) -> None:
    assert station.audit.record("look", "pump").actor == "test"
    assert {event.actor for event in open_station(made).audit.events()} == {"esteira"}


def test_tables_are_dated_by_the_projects_clock(station: Station) -> None:
    assert station.clock.now() == LIVE
    assert station.tables.version("events").committed_at == LIVE


def test_a_version_is_read_from_the_registry_once(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    version = station.version(1)
    monkeypatch.setattr(station.registry, "version", None)
    assert station.version(1) is version


def test_an_unknown_version_is_not_found(station: Station) -> None:
    with pytest.raises(NotFound, match="version '3 of model pump'"):
        station.version(3)
