"""A project of one small model, and the project aside that is made of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.project.scored import lay_late

from esteira.project.modes.scratch import SOURCE, Scratch, choose, lay_scratch
from esteira.registry.bundle import Model
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.station import Station

ROWS = 250


@pytest.fixture(scope="session")
def laid(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Station:
    """Version 1 serves, version 2 does not; read it only."""
    station = lay_late(tmp_path_factory.mktemp("modes") / "late")
    shutil.copy(empty_registry, station.settings.home)
    return station


@pytest.fixture
def scratch(laid: Station, tmp_path: Path) -> Scratch:
    """The project aside with rows that wait."""
    folder = tmp_path / "aside"
    folder.mkdir()
    return lay_scratch(folder, laid, choose(laid, None), ROWS)


@pytest.fixture
def right(scratch: Scratch) -> list[float]:
    """What the model says of the rows, asked here."""
    (folder,) = (scratch.folder / ".esteira" / "artifacts").glob("[0-9a-f]*/*")
    model = Model.load(folder)
    matrix = model.signature.encode_table(scratch.tables.read(SOURCE))
    return open_runtime(model).predict(matrix).tolist()
