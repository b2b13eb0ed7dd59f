"""Online reads of one store: `python -m benchmarks.parts.reads STORE_URL FOLDER`, one JSON object out.

FOLDER holds a world of `worlds.write_world`. Shapes are "entities x views"; microseconds of every read. `raw`
is the same bytes fetched by hand from the same store: the limit that no reader can beat. `registered` is the
median of one shape with ever more views in the store.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.parts.worlds import read_world

from esteira.base.clock import SimulatedClock, from_micros
from esteira.data.tables import open_tables
from esteira.features.ledger import FeatureLedger
from esteira.features.materialize import materialize_view
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.features.views import BoundView, FeatureView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esteira.features.stores.port import OnlineStore

TURNS, WARM_UP = 3_000, 200
LATER = 1_420_070_400_000_000  # UTC microseconds, after every row of the world


def measure(act: Callable[[int], object], turns: int) -> list[float]:
    """Microseconds of `act(turn)`, without the first turns."""
    taken = []
    for turn in range(turns + WARM_UP):
        started = perf_counter()
        act(turn)
        taken.append((perf_counter() - started) * 1e6)
    return taken[WARM_UP:]


def materialized(store: OnlineStore, views: Sequence[BoundView]) -> float:
    """Seconds to bring an empty store to where tables on the disk stand, ledger and all."""
    clock = SimulatedClock(start=from_micros(LATER))
    with tempfile.TemporaryDirectory() as scratch:
        tables = open_tables(f"delta:{scratch}/tables", clock=clock)
        for bound in views:
            tables.append(bound.view.source, bound.rows)
        ledger = FeatureLedger(f"sqlite:{scratch}/features.db", clock)
        started = perf_counter()
        for bound in views:
            materialize_view(bound.view, tables, store, ledger, until=clock.now())
        return perf_counter() - started


def shapes(store: OnlineStore, views: Sequence[BoundView], keys: Sequence[int]) -> dict[str, list[float]]:
    """Reads of 1, 10 and 100 entities over 1, 5, 20… of the views."""
    taken = {}
    for width in sorted({1, 5, 20, len(views)}):
        if width > len(views):
            continue
        reader = OnlineReader.of(store, [bound.view for bound in views[:width]])
        for entities in (1, 10, 100):
            batches = _batches(keys, entities)
            turns = max(TURNS // entities, 200)
            taken[f"{entities}x{width}"] = measure(
                lambda turn, r=reader, b=batches: r.read(b[turn % len(b)], LATER), turns
            )
    return taken


def _batches(keys: Sequence[int], entities: int) -> list[list[dict[str, int]]]:
    return [
        [{"entity": key} for key in keys[at : at + entities]]
        for at in range(0, len(keys) - entities, entities)
    ]


def raw(url: str, views: int, features: int, keys: Sequence[int]) -> list[float]:
    """Microseconds to fetch as many bytes by hand: one entity over so many views, nothing decoded."""
    blob = b"x" * 8 * (features + 3)
    rows = {f"raw:{view}:{key}".encode(): blob for view in range(views) for key in keys}
    fetch = (_raw_lmdb if url.startswith("lmdb") else _raw_redis)(url, rows)
    wanted = [[f"raw:{view}:{key}".encode() for view in range(views)] for key in keys]
    return measure(lambda turn: fetch(wanted[turn % len(wanted)]), TURNS)


def _raw_lmdb(url: str, rows: dict[bytes, bytes]) -> Callable[[list[bytes]], object]:
    import lmdb

    environment = lmdb.open(url.partition(":")[2] + "-raw", map_size=1 << 30)
    with environment.begin(write=True) as transaction:
        for key, blob in rows.items():
            transaction.put(key, blob)

    def fetch(keys: list[bytes]) -> list[bytes | None]:
        with environment.begin() as transaction:
            return [transaction.get(key) for key in keys]

    return fetch


def _raw_redis(url: str, rows: dict[bytes, bytes]) -> Callable[[list[bytes]], object]:
    import redis

    client = redis.Redis.from_url(url)
    client.mset(rows)
    return client.mget


def registered(store: OnlineStore, views: Sequence[BoundView], keys: Sequence[int]) -> dict[str, float]:
    """The median read of one entity over 5 views while the store holds 10, then 5,000 views."""
    found = {}
    batches = _batches(keys, 1)
    for count in (10, 5_000):
        row = views[0].rows.slice(0, 1)
        features = views[0].view.features
        fillers = [
            FeatureView(f"filler{n}", ("entity",), features, "t", created_time="created_ts")
            for n in range(count)
        ]
        for start in range(0, count, 500):
            store.write_many([(view, row) for view in fillers[start : start + 500]])
        reader = OnlineReader.of(store, [bound.view for bound in views[:5]])
        taken = measure(lambda turn, r=reader: r.read(batches[turn % len(batches)], LATER), TURNS)
        found[str(count)] = median(taken)
    return found


def main() -> None:
    """Materialize, measure, print."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    _, views = read_world(folder)
    store = open_store(url)
    said: dict[str, object] = {"materialize_seconds": materialized(store, views)}
    keys = views[0].rows["entity"].unique().to_pylist()[:4_000]
    said["microseconds"] = shapes(store, views, keys)
    if url.startswith(("lmdb", "redis")):
        said["raw"] = raw(url, 5, len(views[0].view.features), keys)
    if url.startswith("lmdb"):
        said["registered"] = registered(store, views, keys)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
