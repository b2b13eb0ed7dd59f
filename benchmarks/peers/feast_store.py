"""Feast on the same files, run by its own Python: `feast_store.py WHAT STORE FOLDER`, one JSON object out.

WHAT is `join` (STORE: dask or duckdb) or `reads` (STORE: sqlite or redis://HOST:PORT). FOLDER holds a world
as benchmarks/parts/worlds.py writes it.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

KIBI = 1024
ROUNDS = 3


def store_of(folder: Path, offline: str, online: str) -> tuple[FeatureStore, list[str]]:
    """A Feast repository over the views in a folder, and the references of all their features."""
    repository = Path(tempfile.mkdtemp())
    online_store = (
        {"type": "redis", "connection_string": online.removeprefix("redis://").removesuffix("/0")}
        if online.startswith("redis")
        else {"type": "sqlite", "path": str(repository / "online.db")}
    )
    config = RepoConfig(
        project=f"bench{repository.name.replace('_', '')}",
        registry=str(repository / "registry.db"),
        provider="local",
        offline_store={"type": offline},
        online_store=online_store,
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    views, references = [], []
    for path in sorted(folder.glob("v*.parquet")):
        facts = json.loads(path.with_suffix(".json").read_text())
        views.append(
            FeatureView(
                name=path.stem,
                entities=[entity],
                ttl=timedelta(microseconds=facts["ttl_us"]),
                schema=[Field(name=name, dtype=Float64) for name in facts["features"]],
                source=FileSource(
                    path=str(path), timestamp_field="event_ts", created_timestamp_column="created_ts"
                ),
            )
        )
        references += [f"{path.stem}:{name}" for name in facts["features"]]
    store.apply([entity, *views])
    return store, references


def join(folder: Path, offline: str) -> dict[str, object]:
    """Seconds of each round of the historical join."""
    store, references = store_of(folder, offline, "sqlite")
    spine = pd.read_parquet(folder / "spine.parquet").rename(columns={"at": "event_timestamp"})
    taken, rows = [], 0
    for _ in range(ROUNDS):
        started = perf_counter()
        found = store.get_historical_features(
            entity_df=spine, features=references, full_feature_names=True
        ).to_arrow()
        taken.append(perf_counter() - started)
        rows = found.num_rows
    return {"seconds": taken, "rows": rows, "asked": len(spine)}


def reads(folder: Path, online: str) -> dict[str, object]:
    """Microseconds of reads of 1, 10 and 100 entities over 1 view, and over all of them."""
    store, references = store_of(folder, "dask", online)
    started = perf_counter()
    store.materialize(datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC))
    materialized = perf_counter() - started
    keys = pd.read_parquet(folder / "spine.parquet")["entity"].drop_duplicates().tolist()[:4000]
    views = sorted({reference.partition(":")[0] for reference in references})
    taken = {}
    for width in sorted({1, 5, len(views)}):
        wanted = [r for r in references if r.partition(":")[0] in views[:width]]
        for entities in (1, 10, 100):
            taken[f"{entities}x{width}"] = one_shape(store, wanted, keys, entities)
    return {"microseconds": taken, "materialize_seconds": materialized}


def one_shape(store: FeatureStore, wanted: list[str], keys: list[int], entities: int) -> list[float]:
    """Microseconds of each read of so many entities."""
    taken = []
    for turn in range(200):
        start = turn * entities % (len(keys) - entities)
        rows = [{"entity": key} for key in keys[start : start + entities]]
        started = perf_counter()
        store.get_online_features(features=wanted, entity_rows=rows).to_dict()
        taken.append((perf_counter() - started) * 1e6)
    return taken[20:]  # the first ones load code


def main() -> None:
    """Measure and print."""
    what, store, folder = sys.argv[1:]
    found = {"join": join, "reads": reads}[what](Path(folder), store)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBI
    from importlib.metadata import version

    print(json.dumps({**found, "peak_bytes": peak, "version": version("feast")}))


if __name__ == "__main__":
    main()
