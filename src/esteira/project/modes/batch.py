"""The rows as a table, scored into a table: what its process does, and what is measured of it."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.project.modes.measured import ModeMeasured, ModeScores, quantiles
from esteira.project.modes.process import ModeProcess, Order
from esteira.project.modes.scratch import SOURCE
from esteira.project.scoring.job import ScoreWanted, score_table
from esteira.project.scoring.run import SCORED
from esteira.project.station import open_station
from esteira.serving.load.peaks import PeakMemory
from esteira.serving.load.processes import usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from esteira.project.modes.scratch import Scratch
    from esteira.project.scoring.run import Scoring

TARGET = "bench_scores"


def work(order: Order, _heard: BinaryIO, tell: Callable[[dict[str, Any]], object]) -> None:
    """Score the table; the clock begins when the model is loaded. Raises: as `score_table`."""
    begun, spent = 0.0, None
    chunks: list[tuple[int, float]] = []  # rows, seconds
    done = 0

    def follow(now: Scoring) -> None:
        nonlocal begun, spent, done
        if begun:
            chunks.append((now.done - done, now.chunk_s))
            done = now.done
        else:
            tell({"ready": True})
            begun, spent = perf_counter(), usage(os.getpid())

    wanted = ScoreWanted(SOURCE, TARGET, keep=order.keep, at=order.at)
    made = score_table(open_station(order.folder), wanted, follow)
    seconds, used = perf_counter() - begun, usage(os.getpid())
    cpu = None if spent is None or used is None else used.cpu_seconds - spent.cpu_seconds
    tell({"seconds": seconds, "cpu_seconds": cpu, "chunks": chunks, "chunk": made.chunk})


def measure(scratch: Scratch) -> ModeScores:
    """Score the rows of a scratch project in batch. A row waits from the first reading of its chunk.

    Raises: ModeFailed.
    """
    keep = tuple(field.name for field in scratch.fields if field.name.casefold() not in SCORED.names)
    order = Order("batch", str(scratch.folder), keep, scratch.at)
    with ModeProcess(scratch, order) as process, PeakMemory(process.pid) as peak:
        process.told()
        said = process.told()
    waited = [np.full(rows, seconds) for rows, seconds in said["chunks"]]
    measured = ModeMeasured(
        "batch",
        len(scratch.rows),
        process.start_s,
        said["seconds"],
        quantiles(np.concatenate(waited) if waited else np.empty(0)),
        said["cpu_seconds"],
        peak.memory_bytes,
        {"chunk_rows": said["chunk"], "chunks": len(waited)},
    )
    return ModeScores(measured, scratch.tables.read(TARGET, columns=["score"])["score"].to_numpy())
