"""Stations to show: one with a life behind it, and an empty one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.web.stations import lay_down, lived

from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def lived_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read it only."""
    return lived(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def station(lived_folder: Path) -> Station:
    return open_station(lived_folder)


@pytest.fixture
def empty(tmp_path: Path) -> Station:
    return open_station(lay_down(tmp_path / "empty"))
