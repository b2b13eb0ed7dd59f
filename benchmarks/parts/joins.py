"""One way of joining a world from its files: `python -m benchmarks.parts.joins WAY FOLDER`.

Prints one JSON object: seconds of each round, rows that came back, peak memory, and of ours a digest of the
answer. The bare joins are what a person would write by hand: the newest row by event time, no created time,
no TTL, no status.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from benchmarks.parts.worlds import SPINE, read_world

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5


def ours(folder: Path, engine: str) -> Any:  # noqa: ANN401 - a table of one library or another
    """The point-in-time join, with created times and TTL."""
    from esteira.features.point_in_time import point_in_time_join

    spine, views = read_world(folder)
    return point_in_time_join(spine, views, at="at", engine=engine)


def bare_duckdb(folder: Path) -> Any:  # noqa: ANN401 - a table of the library that is timed
    """DuckDB's ASOF JOIN over all views in one query."""
    import duckdb

    names = _names(folder)
    joins = [
        f"ASOF LEFT JOIN '{folder}/{v}.parquet' {v} ON s.entity = {v}.entity AND s.at >= {v}.event_ts"
        for v in names
    ]
    features = ", ".join(f"{v}.* EXCLUDE (entity, event_ts, created_ts)" for v in names)
    connection = duckdb.connect(config={"threads": 2})
    return connection.sql(
        f"SELECT s.*, {features} FROM '{folder}/{SPINE}' s {' '.join(joins)}"
    ).to_arrow_table()


def bare_polars(folder: Path) -> Any:  # noqa: ANN401 - a table of the library that is timed
    """Polars' join_asof, one view after the other."""
    import polars as pl

    found = pl.read_parquet(folder / SPINE).sort("at")
    for name in _names(folder):
        rows = pl.read_parquet(folder / f"{name}.parquet").drop("created_ts").sort("event_ts")
        found = found.join_asof(
            rows, left_on="at", right_on="event_ts", by="entity", check_sortedness=False, coalesce=True
        ).drop("event_ts", strict=False)
    return found


def bare_pandas(folder: Path) -> Any:  # noqa: ANN401 - a table of the library that is timed
    """pandas' merge_asof, one view after the other."""
    import pandas as pd

    found = pd.read_parquet(folder / SPINE).sort_values("at")
    for name in _names(folder):
        rows = pd.read_parquet(folder / f"{name}.parquet").drop(columns="created_ts").sort_values("event_ts")
        found = pd.merge_asof(found, rows, left_on="at", right_on="event_ts", by="entity").drop(
            columns="event_ts"
        )
    return found


WAYS: dict[str, Callable[[Path], Any]] = {
    "numpy": lambda folder: ours(folder, "numpy:"),
    "duckdb": lambda folder: ours(folder, "duckdb:"),
    "polars": lambda folder: ours(folder, "polars:"),
    "shards": lambda folder: ours(folder, "shards:2"),
    "bare_duckdb": bare_duckdb,
    "bare_polars": bare_polars,
    "bare_pandas": bare_pandas,
}


def digest(table: Any) -> str:  # noqa: ANN401 - an Arrow table
    """The same for equal values, however they are chunked."""
    found = hashlib.sha256()
    for column in table.combine_chunks().columns:
        found.update(repr((column.null_count, column.type)).encode())
        found.update(column.fill_null(0).to_numpy(zero_copy_only=False).tobytes())
    return found.hexdigest()


def _names(folder: Path) -> list[str]:
    return sorted((path.stem for path in folder.glob("v*.parquet")), key=lambda name: int(name[1:]))


def main() -> None:
    """Measure and print."""
    way, folder = sys.argv[1], Path(sys.argv[2])
    taken = []
    for _ in range(ROUNDS):
        found = None  # one answer at a time in memory, and of the round before nothing
        pa.default_memory_pool().release_unused()
        started = perf_counter()
        found = WAYS[way](folder)
        taken.append(perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    said: dict[str, object] = {"seconds": taken, "rows": len(found), "peak_bytes": peak}
    if not way.startswith("bare_"):
        said["digest"] = digest(found)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
