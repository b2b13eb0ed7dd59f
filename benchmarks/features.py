"""The feature store beside its peers and its limits: joins, online reads, and cells against brute force.

Every way runs in a process of its own, one after the other, on the same files. Feast needs `make bench-peers`
first; without it its lines say so. Materialization and leaks have areas of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.parts.worlds import World, write_world
from benchmarks.peers import python_of
from benchmarks.report import Figure, Report
from tests.features.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1024**2
CELLS = 1_000_000
ENGINES = ("numpy:", "duckdb:", "polars:")
BARE = ("bare_duckdb", "bare_polars", "bare_pandas")
JOINS = {
    "join_100k": World(100_000, 1_000_000, 100_000, 3, 3),
    "join_1m": World(1_000_000, 1_000_000, 100_000, 3, 3),
}
OVER_FEAST = {"dask": 20.0, "duckdb": 5.0}  # at a million questions; its default store is dask
LIBRARIES = ("duckdb", "polars", "pandas", "pyarrow", "numpy", "lmdb", "redis")
WIDE = World(17_000, 17_000, 2_000, 10, 100)
ONLINE = World(5_000, 20_000, 5_000, 20, 10)
FEAST = Path(__file__).parent / "peers" / "feast_store.py"

Said = dict[str, Any]


def told(*command: str) -> Said:
    """The JSON that a process prints last; it says more on standard error when it fails.

    Raises: CalledProcessError.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    done = subprocess.run(command, check=False, env=environment, capture_output=True)
    if done.returncode:
        sys.stderr.buffer.write(done.stderr)
        done.check_returncode()
    found: Said = json.loads(done.stdout.splitlines()[-1])
    return found


def part(name: str, *arguments: str) -> Said:
    """What a measurement of ours says."""
    return told(sys.executable, "-m", f"benchmarks.parts.{name}", *arguments)


def feast(*arguments: str) -> Said | None:
    """What Feast says; None when it is not installed."""
    python = python_of("feast")
    return None if python is None else told(str(python), str(FEAST), *arguments)


@dataclass(frozen=True, slots=True)
class Joined:
    """How one way of joining went: the median of its rounds, and the most memory it had."""

    seconds: float
    peak_bytes: int
    rows: int
    digest: str = ""

    @classmethod
    def of(cls, said: Said) -> Joined:
        return cls(median(said["seconds"]), said["peak_bytes"], said["rows"], said.get("digest", ""))


def joins(report: Report, name: str, folder: Path) -> None:
    """Ours beside bare joins of the same libraries and beside Feast."""
    ours = Joined.of(part("joins", "numpy", str(folder)))
    report.add(Figure(name, ours.seconds, "s"))
    report.add(Figure(f"{name}_peak_memory", ours.peak_bytes / MIB, "MiB"))
    bare = {way: Joined.of(part("joins", way, str(folder))).seconds for way in BARE}
    for way, seconds in bare.items():
        report.add(Figure(f"{name}_{way}", seconds, "s"))
    report.add(Figure(f"{name}_of_best_bare", ours.seconds / min(bare.values()), "x", 1.0))
    for offline, times in OVER_FEAST.items():
        said = feast("join", offline, str(folder))
        if said is None:
            print(f"{name}: feast is not installed; run: make bench-peers")
            continue
        peer, at_scale = Joined.of(said), name == "join_1m"
        over, memory = peer.seconds / ours.seconds, ours.peak_bytes / peer.peak_bytes
        report.add(Figure(f"{name}_feast_{offline}", peer.seconds, "s"))
        report.add(Figure(f"{name}_feast_{offline}_rows_lost", said["asked"] - peer.rows, "rows"))
        goal = times if at_scale else None
        report.add(Figure(f"{name}_over_feast_{offline}", over, "x", goal, "at least"))
        goal = 0.25 if at_scale and offline == "dask" else None
        report.add(Figure(f"{name}_memory_of_feast_{offline}", memory, "x", goal))


def engines(report: Report, folder: Path) -> None:
    """The same bytes from every engine, and from shards in processes."""
    found = {
        way: Joined.of(part("joins", way, str(folder))) for way in ("numpy", "duckdb", "polars", "shards")
    }
    report.add(Figure("engines_that_differ", len({each.digest for each in found.values()}) - 1, "", 0))
    for way, each in found.items():
        report.add(Figure(f"join_100k_by_{way}", each.seconds, "s"))


def wide(report: Report, folder: Path) -> None:
    """17,000 questions, ten views, a thousand features."""
    ours = Joined.of(part("joins", "numpy", str(folder)))
    report.add(Figure("wide", ours.seconds, "s", 2.0))
    report.add(Figure("wide_peak_memory", ours.peak_bytes / MIB, "MiB", 500.0))


def reads(report: Report, folder: Path, address: str) -> None:
    """Reads in process on every store, beside the raw store and beside Feast on the same one."""
    with tempfile.TemporaryDirectory() as scratch:
        stores = {"lmdb": f"lmdb:{scratch}/online", "sqlite": f"sqlite:{scratch}/online.db", "redis": address}
        said = {name: part("reads", url, str(folder)) for name, url in stores.items()}
    peers = {"sqlite": feast("reads", "sqlite", str(folder)), "redis": feast("reads", address, str(folder))}
    for name, found in said.items():
        for shape, taken in found["microseconds"].items():
            report.add(Figure(f"read_{name}_{shape}_p50", median(taken), "us"))
            goal = 100.0 if (name, shape) == ("lmdb", "1x5") else None
            report.add(Figure(f"read_{name}_{shape}_p99", _p99(taken), "us", goal))
        if "raw" in found:
            report.add(Figure(f"read_{name}_1x5_raw_p50", median(found["raw"]), "us"))
        report.add(Figure(f"materialize_{name}", found["materialize_seconds"], "s"))
        _beside(report, name, found, peers.get(name))
    lmdb = said["lmdb"]
    slope = median(lmdb["microseconds"]["1x20"]) / 20 / (median(lmdb["microseconds"]["1x5"]) / 5)
    report.add(Figure("read_lmdb_per_view_20_of_5", slope, "x", 1.2))
    registered = lmdb["registered"]
    report.add(Figure("read_lmdb_5000_of_10_registered", registered["5000"] / registered["10"], "x", 1.05))


def _beside(report: Report, name: str, ours: Said, peer: Said | None) -> None:
    if peer is None:
        return
    theirs, mine = peer["materialize_seconds"], ours["materialize_seconds"]
    report.add(Figure(f"materialize_{name}_feast", theirs, "s"))
    report.add(Figure(f"materialize_{name}_over_feast", theirs / mine, "x"))
    for shape in ("1x1", "1x5", "100x5"):
        theirs = median(peer["microseconds"][shape])
        report.add(Figure(f"read_{name}_{shape}_feast_p50", theirs, "us"))
        report.add(
            Figure(f"read_{name}_{shape}_over_feast", theirs / median(ours["microseconds"][shape]), "x")
        )


def _p99(taken: Sequence[float]) -> float:
    return quantiles(taken, n=100)[98]


def cells(report: Report) -> None:
    """Generated cells that each engine gets wrong."""
    for engine in ENGINES:
        said = part("oracle", engine, str(CELLS))
        report.add(Figure(f"cells_{engine[:-1]}", said["cells"], "cells", CELLS, "at least"))
        report.add(Figure(f"cells_{engine[:-1]}_wrong", said["wrong"], "cells", 0))


def main() -> int:
    """Measure, print, write; 0 only if every goal holds."""
    report = Report(
        "features", distributions=("duckdb", "polars", "pandas", "pyarrow", "numpy", "lmdb", "redis")
    )
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch) / name for name in (*JOINS, "wide", "online")}
        for name, world in {**JOINS, "wide": WIDE, "online": ONLINE}.items():
            folders[name].mkdir()
            write_world(world, folders[name])
        for name in JOINS:
            joins(report, name, folders[name])
        engines(report, folders["join_100k"])
        wide(report, folders["wide"])
        server = RedisServer(Path(scratch))
        server.start()
        try:
            reads(report, folders["online"], server.address)
        finally:
            server.kill()
    cells(report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
