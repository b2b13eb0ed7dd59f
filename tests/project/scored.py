"""What the tests of batch scoring share: a project with a model in production, and tables of rows for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from tests.serving.worlds import PLAIN, tree_model

from esteira.project.station import Station, open_station
from esteira.serving.routes import Arm, Routes

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.registry.bundle import Model

SETTINGS = """clock = "simulated:.esteira/clock?start=2013-07-01T12:00:00Z"
[project]
name = "late"
file = "late.py"
"""
PROJECT = "from esteira import Project\nproject = Project('late', steps=[])\n"


def lay_late(folder: Path, *models: Model, project: str = PROJECT) -> Station:
    """A project whose versions count from 1; the first is in production."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "esteira.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "late.py").write_text(project, encoding="utf-8")
    station = open_station(folder)
    for version, model in enumerate(models or (tree_model(0.5), tree_model(-0.5)), start=1):
        digest = station.artifacts.put(model).digest
        station.routes.know("late", version, digest)
        if version == 1:
            station.routes.set(Routes("late", (Arm("champion", 1, digest, 1.0),), "s"))
    return station


def flights(rows: int, seed: int = 7) -> pa.Table:
    """Rows that `PLAIN` takes, and a number of their own for each."""
    chance = np.random.default_rng(seed)
    assert PLAIN.names == ("miles", "carrier", "gust")
    return pa.table(
        {
            "id": np.arange(rows),
            "miles": chance.uniform(0, 1000, rows),
            "carrier": chance.choice(["AA", "UA", "DL"], rows),
            "gust": pa.array(chance.normal(size=rows), mask=chance.random(rows) < 0.3),
        }
    )
