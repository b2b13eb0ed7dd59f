"""Worlds to join and read, as Parquet files that every peer can take: entities, questions, and views."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from esteira.features.times import UTC_MICROS
from esteira.features.views import BoundView, FeatureView

if TYPE_CHECKING:
    from pathlib import Path

SPINE = "spine.parquet"
_START = 1_356_998_400_000_000  # 2013-01-01 in UTC microseconds
_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class World:
    """How large a world is; events and questions are spread evenly over `days`."""

    questions: int
    rows: int  # of each view
    entities: int
    views: int
    features: int  # of each view
    days: int = 90
    ttl: timedelta = timedelta(days=60)


def write_world(world: World, folder: Path, seed: int = 7) -> None:
    """`spine.parquet` and `v0.parquet`… with the facts of each view beside it as JSON."""
    chance = np.random.default_rng(seed)
    spine = {
        "entity": chance.integers(0, world.entities, world.questions),
        "at": _moments(_START + chance.integers(0, world.days * 24 * _HOUR, world.questions)),
        "label": chance.random(world.questions),
    }
    pq.write_table(pa.table(spine), folder / SPINE)
    for number in range(world.views):
        happened = np.sort(_START + chance.integers(0, world.days * 24 * _HOUR, world.rows))
        rows = {
            "entity": chance.integers(0, world.entities, world.rows),
            "event_ts": _moments(happened),
            "created_ts": _moments(happened + chance.integers(0, _HOUR, world.rows)),
        }
        features = [f"f{number}_{at}" for at in range(world.features)]
        rows |= {name: chance.random(world.rows) for name in features}
        pq.write_table(pa.table(rows), folder / f"v{number}.parquet")
        facts = {"features": features, "ttl_us": world.ttl // timedelta(microseconds=1)}
        (folder / f"v{number}.json").write_text(json.dumps(facts))


def read_world(folder: Path) -> tuple[pa.Table, list[BoundView]]:
    """The spine and the views."""
    found = []
    for path in sorted(folder.glob("v*.parquet"), key=lambda each: int(each.stem[1:])):
        facts = json.loads(path.with_suffix(".json").read_text())
        view = FeatureView(
            path.stem,
            ("entity",),
            tuple(facts["features"]),
            path.stem,
            created_time="created_ts",
            ttl=timedelta(microseconds=facts["ttl_us"]),
        )
        found.append(BoundView(view, pq.read_table(path)))
    return pq.read_table(folder / SPINE), found


def _moments(micros: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
    return pa.array(micros).cast(UTC_MICROS)
