"""Materialization that is killed again and again: does it end in the exact state, in how much memory?

A world of events, a tenth of which come late, is committed in rounds. In each round a child materializes its
views up to a later moment and dies, at a random write to the online store or the ledger or by SIGKILL at a
random time, until one child comes through. Then every key online must be what the point-in-time join finds
over all rows. Children are forked, so that a thousand of them cost no start-up; the parent opens no store.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from benchmarks.report import Figure, Report

from esteira.base.clock import SimulatedClock, from_micros
from esteira.data.tables.delta import DeltaTables
from esteira.features import reading, recent
from esteira.features.ledger import FeatureLedger
from esteira.features.materialize import materialize_view
from esteira.features.online import OnlineReader
from esteira.features.point_in_time import point_in_time_join
from esteira.features.stores.lmdb import LmdbStore
from esteira.features.times import UTC_MICROS
from esteira.features.views import BoundView, FeatureView
from esteira.features.windows.measures import Count, Last, Sum
from esteira.features.windows.sliding import Window, window_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

KILLS = 1_000
ROWS_AT_SCALE = 5_000_000
MINUTE, DAY = 60_000_000, 86_400_000_000
HOUR = timedelta(hours=1)
KEYS = 200
COMMITS, ROWS, BATCH, SHARD = 4, 1_500, 100, 250  # of a round
PATIENCE = 8  # writes at most until a child dies
LONGEST = 0.3  # seconds until a child is killed from outside
KILLED = 9
MEASURES = {"n": Count(), "total": Sum("x"), "newest": Last("x")}
VIEWS = (
    FeatureView("row", ("k",), ("x",), "events", created_time="known"),
    FeatureView("timeless", ("k",), ("x",), "events", ttl=8 * HOUR),
    FeatureView(
        "known",
        ("k",),
        tuple(MEASURES),
        "events",
        window=Window(("k",), "event_ts", 6 * HOUR, HOUR, MEASURES, "known"),
    ),
    FeatureView(
        "late", ("k",), tuple(MEASURES), "events", window=Window(("k",), "event_ts", 3 * HOUR, HOUR, MEASURES)
    ),
)


@dataclass(frozen=True, slots=True)
class Survived:
    """What came of it."""

    kills: int
    sigkills: int  # of them from outside
    rounds: int
    cells: int  # compared
    differing: int
    seconds: float


def events(chance: np.random.Generator, rows: int, start: int, end: int) -> pa.Table:
    """Events that became known in [start, end), a tenth of them up to two days late."""
    known = np.sort(chance.integers(start, end, rows))
    late = np.where(chance.random(rows) < 0.1, chance.integers(0, 2 * DAY, rows), 0)
    at = known - late - chance.integers(0, MINUTE, rows)
    return pa.table(
        {
            "k": pa.array(chance.integers(0, KEYS, rows).astype(str)),
            "event_ts": _times(at),
            "known": _times(known),
            "x": pa.array(chance.integers(0, 1000, rows), mask=chance.random(rows) < 0.1),
        }
    )


def _times(micros: NDArray[np.int64]) -> pa.Array:
    return pa.array(micros.astype(np.int64)).cast(UTC_MICROS)


class Mortal:
    """A store or ledger whose writer dies at a write that chance names, before it or after it."""

    def __init__(self, inner: Any, lives: list[int]) -> None:  # noqa: ANN401 - a store or a ledger
        self._inner, self._lives = inner, lives

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever is asked of the store
        found = getattr(self._inner, name)
        return self._dying(found) if name in {"write", "keep", "finish"} else found

    def _dying(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*given: object) -> object:
            self._live()
            done = act(*given)
            self._live()
            return done

        return acted

    def _live(self) -> None:
        self._lives[0] -= 1
        if self._lives[0] == 0:
            os._exit(KILLED)


def materialize(folder: Path, until: int, lives: int) -> None:
    """Materialize every view; dies after so many lives, or never when that is 0."""
    reading.BATCH, recent.SHARD = BATCH, SHARD
    left = [lives]
    tables, store = DeltaTables(f"delta:{folder}/tables"), LmdbStore(f"lmdb:{folder}/online")
    ledger = FeatureLedger(f"sqlite:{folder}/features.db", SimulatedClock(start=from_micros(until)))
    for view in VIEWS:
        mortal: Any = Mortal(store, left), Mortal(ledger, left)
        materialize_view(view, tables, *mortal, until=from_micros(until))


def compare(folder: Path, until: int) -> tuple[int, int]:
    """The cells of every key online and offline, and how many of them differ."""
    rows = DeltaTables(f"delta:{folder}/tables").read("events")
    store, cells, differing = LmdbStore(f"lmdb:{folder}/online", readonly=True), 0, 0
    keys = [str(key) for key in range(KEYS)]
    spine = pa.table({"k": keys, "at": _times(np.full(KEYS, until))})
    for view in VIEWS:
        bound = BoundView(view, rows if view.window is None else window_rows(rows, view.window))
        offline = point_in_time_join(spine, [bound], at="at").select(view.columns).to_pylist()
        reader = OnlineReader(store, (view.ref(),))
        for key, expected in zip(keys, offline, strict=True):
            found: dict[str, Any] = {"k": key}
            reader.fill(found, until)
            cells += len(expected)
            differing += sum(found[name] != value for name, value in expected.items())
    return cells, differing


def forked(act: Callable[[], None]) -> int:
    """Run something in a child; its process id."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException as failed:  # noqa: BLE001 - a child must not go on as its parent
            print(f"{type(failed).__name__}: {failed}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return child


def ended(child: int) -> int:
    """The exit code of a child; that of a kill is the same whoever did it. Raises: ChildProcessError."""
    _, status = os.waitpid(child, 0)
    code = KILLED if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    if code not in (0, KILLED):
        raise ChildProcessError(f"a child failed with exit code {code}")
    return code


def answered(act: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """What something gives that runs in a child."""
    receiving, sending = os.pipe()
    child = forked(lambda: (os.write(sending, repr(act()).encode()), None)[1])
    os.close(sending)
    with os.fdopen(receiving) as said:
        one, other = said.read().strip("()").split(",")
    ended(child)
    return int(one), int(other)


def kill_until_done(folder: Path, kills: int, *, seed: int = 7) -> Survived:
    """Rounds of commits and deaths until there were so many deaths; every tenth child dies by SIGKILL."""
    chance, begun = random.Random(seed), time.perf_counter()
    died = killed = rounds = cells = differing = 0
    while died < kills:
        ended(forked(partial(commit, folder, rounds, seed)))
        rounds += 1
        until = rounds * DAY - chance.randint(0, 6 * 60) * MINUTE
        for is_outside in _turns(chance, kills - died):
            lives = 0 if is_outside is None else chance.randint(2, PATIENCE)
            child = forked(partial(materialize, folder, until, lives))
            if is_outside:
                time.sleep(chance.uniform(0, LONGEST))
                os.kill(child, signal.SIGKILL)  # it is ours until we have waited for it
            if ended(child) == 0:
                break
            died, killed = died + 1, killed + bool(is_outside)
        more = answered(partial(compare, folder, until))
        cells, differing = cells + more[0], differing + more[1]
    return Survived(died, killed, rounds, cells, differing, time.perf_counter() - begun)


def _turns(chance: random.Random, left: int) -> Iterator[bool | None]:
    """How each child dies: from outside or not; None for the one that lives when there were enough."""
    for _ in range(left):
        yield chance.random() < 0.1
    yield None


def commit(folder: Path, number: int, seed: int) -> None:
    """A day of events, in several commits."""
    chance, tables = np.random.default_rng((seed, number)), DeltaTables(f"delta:{folder}/tables")
    rows = events(chance, ROWS, number * DAY, (number + 1) * DAY)
    for part in range(COMMITS):
        first, last = (ROWS * each // COMMITS for each in (part, part + 1))
        tables.append("events", rows.slice(first, last - first), token=f"{number}.{part}")


def peak_megabytes(folder: Path, rows: int, view: FeatureView) -> float:
    """The most memory that a process ever had that materialized so many rows at once."""
    until = rows * 1_000  # a thousand events a second

    def fill() -> None:
        tables, at_once = DeltaTables(f"delta:{folder}/tables"), 250_000
        for first in range(0, rows, at_once):
            chance = np.random.default_rng(first)
            tables.append(
                "events", events(chance, min(at_once, rows - first), first * 1_000, (first + at_once) * 1_000)
            )

    def act() -> tuple[int, int]:
        tables, store = DeltaTables(f"delta:{folder}/tables"), LmdbStore(f"lmdb:{folder}/online")
        ledger = FeatureLedger(f"sqlite:{folder}/features.db", SimulatedClock(start=from_micros(until)))
        done = materialize_view(view, tables, store, ledger, until=from_micros(until))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, done.rows

    if not (folder / "tables").exists():
        ended(forked(fill))
    return answered(act)[0] / 1024


def main() -> int:
    """Kill, measure, print, write; 0 only if no cell differs and memory stays bounded."""
    report = Report("materialization", distributions=("deltalake", "lmdb", "pyarrow"))
    with tempfile.TemporaryDirectory() as folder:
        survived = kill_until_done(Path(folder), KILLS)
    report.add(Figure("kills", survived.kills, "", KILLS, "at least"))
    report.add(Figure("kills_by_signal", survived.sigkills, ""))
    report.add(Figure("cells_compared", survived.cells, ""))
    report.add(Figure("cells_differing", survived.differing, "", 0))
    report.add(Figure("seconds", survived.seconds, "s"))
    with tempfile.TemporaryDirectory() as folder:
        for view in VIEWS:
            begun = time.perf_counter()
            report.add(
                Figure(f"peak_{view.name}", peak_megabytes(Path(folder), ROWS_AT_SCALE, view), "MB", 512)
            )
            report.add(Figure(f"seconds_{view.name}", time.perf_counter() - begun, "s"))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
