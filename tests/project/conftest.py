"""Stations of the sample project: what is dear is made once, and copied for a test that changes it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import HOUR, LIVE, STEADY, Days, copy_of, lay

from esteira.project.release import judge_and_register, train
from esteira.project.ring import Ring
from esteira.project.station import Station, open_station
from esteira.registry.backends import open_backend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _own_settings() -> Iterator[None]:
    """No setting of the machine reaches the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "ESTEIRA_GATEWAY_PORT", "ESTEIRA_CLOCK"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory, _own_settings: None) -> Path:
    """MLflow's database, empty: its second of migrations is paid once for all tests."""
    home = tmp_path_factory.mktemp("mlflow")
    open_backend("mlflow:", home=home).names()
    return home / "mlflow.db"


@pytest.fixture
def any_state(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stations that the test opens keep their state in each kind of store in turn."""
    monkeypatch.setenv("ESTEIRA_STORES_STATE", state_url)


@pytest.fixture
def fresh(empty_registry: Path, tmp_path: Path) -> Path:
    """The folder of the sample project before anything was done."""
    return _laid(tmp_path / "pump", empty_registry)


def _laid(folder: Path, registry: Path, *changes: tuple[str, str]) -> Path:
    lay(folder, *changes)
    (folder / ".esteira").mkdir()
    shutil.copy(registry, folder / ".esteira")
    return folder


def _deployed(folder: Path) -> Path:
    ring = Ring(open_station(folder))
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    return folder


@pytest.fixture(scope="session")
def made(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a station whose first model serves; nobody has asked it anything."""
    return _deployed(_laid(tmp_path_factory.mktemp("made") / "pump", empty_registry))


@pytest.fixture
def station(made: Path, tmp_path: Path) -> Station:
    """A copy of it that the test may change."""
    return copy_of(made, tmp_path / "pump")


@pytest.fixture(scope="session")
def played(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Station:
    """Fifteen days on, in the middle of which the world changed. Not to be changed."""
    station = copy_of(made, tmp_path_factory.mktemp("played") / "pump")
    with Days(station, LIVE + 15 * 24 * HOUR) as days:
        days.pass_by(15)
        days.all_drained()
        assert days.client.answers.failed == 0
    return station


@pytest.fixture
def replayed(played: Station, tmp_path: Path) -> Station:
    """A copy of the played station that the test may change."""
    return copy_of(played.settings.root, tmp_path / "pump")


@pytest.fixture(scope="session")
def steady(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Station:
    """Five days of a world that does not change. Not to be changed."""
    station = open_station(
        _deployed(_laid(tmp_path_factory.mktemp("steady") / "pump", empty_registry, STEADY))
    )
    with Days(station, LIVE + 5 * 24 * HOUR) as days:
        days.pass_by(5)
        days.all_drained()
    return station


@pytest.fixture(scope="session")
def second(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made station with a second version registered, which does not serve."""
    station = copy_of(made, tmp_path_factory.mktemp("second") / "pump")
    judge_and_register(station, train(station, parameters={"seed": 8}))
    return station.settings.root


@pytest.fixture
def two(second: Path, tmp_path: Path) -> Station:
    """A copy of it that the test may change."""
    return copy_of(second, tmp_path / "pump")
