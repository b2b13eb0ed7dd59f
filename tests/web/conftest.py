"""Stations to show: one with a life behind it, and an empty one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.web.stations import lay_down, lived
from tests.web.visits import CHROMIUM, FLAGS

from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@pytest.fixture(scope="module")  # its event loop would forbid those of other tests
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the dev dependencies")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()
