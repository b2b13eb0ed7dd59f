"""The rows as requests to a gateway of their own: each once, by the load generator."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from esteira.project.modes.measured import ModeMeasured, ModeScores
from esteira.project.modes.process import ModeFailed
from esteira.serving.load.peaks import PeakMemory
from esteira.serving.load.plan import LONGEST_S
from esteira.serving.load.points import Target, plan_of
from esteira.serving.load.process import run_load
from esteira.serving.load.processes import usage
from esteira.serving.load.rows import body_of, path_of_model
from esteira.serving.process import GatewayProcess

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from esteira.project.modes.scratch import Scratch
    from esteira.serving.load.plan import LoadPlan, LoadReport

_PROTOCOL = "oip"


def measure(scratch: Scratch, rows_a_request: int, concurrency: int) -> ModeScores:
    """Ask a gateway for all rows of a scratch project, so many in a request and requests at a time.

    A row waits as long as its request. Raises: ServiceUnreachable, BadInput (the gateway refuses the rows),
    LoadFailed, ModeFailed (none was answered).
    """
    rows = scratch.rows
    size = ceil(len(rows) / rows_a_request)
    parts = (rows[at * rows_a_request : (at + 1) * rows_a_request] for at in range(size))
    bodies = [body_of(part, scratch.fields, _PROTOCOL) for part in parts]
    path = path_of_model(scratch.model, _PROTOCOL)
    answers = scratch.folder / f"answers-{rows_a_request}"
    launched = perf_counter()
    with GatewayProcess(scratch.folder, port=0, environment=scratch.environment) as gateway:
        start_s = perf_counter() - launched
        target = Target(gateway.url, pid=gateway.pid)
        target.try_out(path, bodies[0])
        plan = _once(plan_of(target, path, bodies, LONGEST_S), concurrency, answers)
        before = usage(gateway.pid)
        with PeakMemory(gateway.pid) as peak:
            report = run_load(plan)
        after = usage(gateway.pid)
    if not report.succeeded:
        raise ModeFailed("online", f"no request was answered: {report.answers} {report.errors}")
    measured = ModeMeasured(
        f"online, {rows_a_request} row{'s'[: rows_a_request != 1]} a request",
        len(rows),
        start_s,
        report.busy_s,
        {share: report.latency.quantile(share) for share in (0.5, 0.99)},
        None if before is None or after is None else after.cpu_seconds - before.cpu_seconds,
        peak.memory_bytes,
        {"concurrency": plan.connections, "rows_per_request": rows_a_request, **_troubles(report)},
    )
    return ModeScores(measured, _scores(answers, rows_a_request, len(rows)))


def _once(plan: LoadPlan, concurrency: int, answers: Path) -> LoadPlan:
    """Each request of a plan once, and its answer kept."""
    size = len(plan.asks)
    connections = min(concurrency, size)
    return replace(plan, connections=connections, warmup_s=0.0, most_requests=size, keep=str(answers))


def _troubles(report: LoadReport) -> dict[str, object]:
    """What came instead of scores, by status and by kind."""
    answers = {str(status): count for status, count in report.answers.items() if not 200 <= status < 300}
    return {"refused": {**answers, **report.errors}}


def _scores(answers: Path, rows_a_request: int, rows: int) -> NDArray[np.float64]:
    found = np.full(rows, np.nan)
    bodies = msgspec.msgpack.decode(answers.read_bytes(), type=dict[int, bytes])
    for place, body in bodies.items():
        scores = msgspec.json.decode(body)["outputs"][0]["data"]
        found[place * rows_a_request : place * rows_a_request + len(scores)] = scores
    return found
