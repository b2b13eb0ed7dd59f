"""The rows as messages of a local log, scored into a table: first all at once, then some at a steady pace."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from itertools import cycle, islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from esteira.base.clock import SystemClock
from esteira.project.modes.measured import ModeMeasured, ModeScores, quantiles
from esteira.project.modes.process import ModeProcess, Order
from esteira.project.station import open_station
from esteira.project.streaming import stream_scorer
from esteira.serving.load.peaks import PeakMemory
from esteira.serving.load.processes import usage
from esteira.serving.stream_results import rejected_of
from esteira.serving.streaming import Limits
from esteira.serving.streams.local import LocalStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from esteira.project.modes.scratch import Scratch
    from esteira.serving.streaming import Batch, StreamScorer

TABLE = "bench_stream"
_LOG = "inbox"
_PACE, _PACED_S = 0.5, 2.0  # of what the scorer can do, and for how long: a few times its lingering
_MOST_PACED = 100_000  # messages
_SHOWN = 3  # messages that were refused
_STEP_S = 0.01  # between two appends at that pace


def work(order: Order, heard: BinaryIO, tell: Callable[[dict[str, Any]], object]) -> None:
    """Score what is there without waiting for more, then as many messages as the next line says.

    Raises: as `stream_scorer` and `StreamScorer.run`.
    """
    station = open_station(order.folder)
    with closing(LocalStream(_url(order.folder))) as stream:
        drained = stream_scorer(station, stream, TABLE, limits=Limits(linger_s=0.0))
        tell({"ready": True})
        begun, spent = perf_counter(), usage(os.getpid())
        _until(drained, order.messages, threading.Event())
        seconds, used = perf_counter() - begun, usage(os.getpid())
        cpu = None if spent is None or used is None else used.cpu_seconds - spent.cpu_seconds
        tell({"seconds": seconds, "cpu_seconds": cpu})
        more = int(heard.readline() or 0)
        stop = threading.Event()
        threading.Thread(target=_orphaned, args=(heard.fileno(), stop), daemon=True).start()
        following = stream_scorer(station, stream, TABLE)
        tell({"following": True})
        tell({"written": _until(following, more, stop)})


def _orphaned(handle: int, stop: threading.Event) -> None:
    """Stop when nobody is there any more who would append messages."""
    os.read(handle, 1)
    stop.set()


def _until(scorer: StreamScorer, messages: int, stop: threading.Event) -> list[tuple[int, int]]:
    """Run until so many messages are done; after each batch how many were, and the UTC microsecond."""
    written: list[tuple[int, int]] = []
    done, clock = 0, SystemClock()  # which the log keeps, too; that of the project stands still

    def hear(batch: Batch) -> None:
        nonlocal done
        done += batch.messages
        written.append((done, clock.micros()))
        if done >= messages:
            stop.set()

    if messages:
        scorer.run(stop, hear)
    return written


def measure(scratch: Scratch) -> ModeScores:
    """Score the rows of a scratch project as a stream.

    How many rows a second: of messages that are all there. How long a row waits, from its being appended
    until it is in the table: of messages, the same again, that come half as fast.
    Raises: ModeFailed, StorageUnwritable.
    """
    payloads = [msgspec.json.encode(row) for row in scratch.rows]
    order = Order("streaming", str(scratch.folder), messages=len(payloads))
    with closing(LocalStream(_url(scratch.folder))) as stream:
        stream.append(payloads)
        with ModeProcess(scratch, order) as process, PeakMemory(process.pid) as peak:
            process.told()
            said = process.told()
            pace = _PACE * len(payloads) / max(said["seconds"], 1e-9)
            count = min(max(1, int(pace * _PACED_S)), _MOST_PACED)
            some = [*islice(cycle(payloads), count)]
            process.ask(count)
            process.told()
            pace = _append(stream, some, pace)
            written = process.told()["written"]
    waited, scores = _found(scratch, len(payloads), np.array(written, np.int64).reshape(-1, 2))
    facts = {
        "linger_ms": Limits().linger_s * 1000,
        "paced_rows": count,
        "paced_rows_per_s": pace,
        "refused": scratch.tables.read(rejected_of(TABLE), columns=["reason"]).to_pylist()[:_SHOWN],
    }
    measured = ModeMeasured(
        "streaming",
        len(payloads),
        process.start_s,
        said["seconds"],
        quantiles(waited),
        said["cpu_seconds"],
        peak.memory_bytes,
        facts,
    )
    return ModeScores(measured, scores)


def _append(stream: LocalStream, payloads: Sequence[bytes], pace: float) -> float:
    """Append messages at a pace a second; gives the one that was kept."""
    together, begun = max(1, round(pace * _STEP_S)), perf_counter()
    for at in range(0, len(payloads), together):
        time.sleep(max(0.0, begun + at / pace - perf_counter()))
        stream.append(payloads[at : at + together])
    return len(payloads) / max(perf_counter() - begun, 1e-9)


def _found(
    scratch: Scratch, rows: int, written: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The seconds that each paced message waited, and the scores of the others."""
    table = scratch.tables.read(TABLE, columns=["position", "at", "score"])
    position, score = table["position"].to_numpy(), table["score"].to_numpy()
    scores = np.full(rows, np.nan)
    is_first = position < rows
    scores[position[is_first]] = score[is_first]
    paced = ~is_first
    appended = table["at"].cast("int64").to_numpy()[paced]
    ends = np.searchsorted(written[:, 0], position[paced] - rows, side="right")
    return (written[ends, 1] - appended) / 1e6, scores


def _url(folder: str | Path) -> str:
    return f"file:{folder}/{_LOG}"
