"""A thousand swaps of the champion while it is asked at 70 % of what it can answer.

What it can answer is the highest rate of arrivals that it keeps up with: all are answered, 99 % of them in
20 ms. With all connections busy it would show more, for then nobody sleeps and wakes for a request.
Two models of equal size take turns, ten times a second. Every answer must be that of the version it names.
Latencies are compared with those of the same load before and after the swaps, memory with that after a first
few swaps, when every version has been there.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
from benchmarks.parts.checks import SCORES
from benchmarks.parts.gateways import SIGNATURE, gateway, write_project
from benchmarks.parts.measuring import plan_for
from benchmarks.parts.scored import NAMES, bodies, read_rows, tree_text, write_models
from benchmarks.parts.servers import Running
from benchmarks.report import Figure, Report

from esteira.base.settings import load_settings
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.serving.load.plan import Ask
from esteira.serving.load.process import LoadProcess
from esteira.serving.load.processes import usage
from esteira.serving.routes import Arm, Routes, RouteStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.load.plan import LoadPlan, LoadReport

MODEL, TREES = "late", 200
SWAPS, ASKS, SHARE = 1_000, 32, 0.7
QUIET_S, MOST_S = 10.0, 240.0  # a load without swaps, and the longest that swaps may take
EVERY_S = 0.1  # between two swaps: back to back they would be a load of their own
KEPT_UP_S, LEAST_RATE = 0.02, 100.0
CALM_S = 3.0  # after the swaps, until memory is looked at


class Swapping:
    """A project whose champion is one of two models, by turns."""

    def __init__(self, root: Path, texts: Sequence[str]) -> None:
        settings = load_settings(root, {})
        self._routes = RouteStore(settings.store("state"))
        artifacts = ArtifactStore(settings.store("artifacts"))
        self._digests = [
            artifacts.put(Model("lightgbm", SIGNATURE, {"model.txt": text.encode()})).digest for text in texts
        ]
        self.done = 0

    def swap(self, running: Running) -> None:
        """The other model becomes the champion; done when the gateway has taken it up."""
        self.done += 1
        place = self.done % len(self._digests)
        arm = Arm("champion", place + 1, self._digests[place], 1.0)
        revision = self._routes.set(Routes(MODEL, (arm,), salt="bench")).revision
        asked = urllib.request.Request(f"{running.url}/v2/models/{MODEL}", headers=running.server.headers)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                if json.load(answer)["parameters"]["route_revision"] >= revision:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"revision {revision} was not taken up")


def infer_body(row: Sequence[float]) -> bytes:
    """One row in the Open Inference Protocol, a tensor for each column."""
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in zip(NAMES, row, strict=True)
    ]
    return json.dumps({"inputs": tensors}).encode()


def plan(running: Running, rows: Sequence[Sequence[float]], rate: float | None, seconds: float) -> LoadPlan:
    """The load that goes on while versions are swapped, every answer checked; no rate: all it takes."""
    asks = [Ask(f"/v2/models/{MODEL}/infer", infer_body(row)) for row in rows]
    check = "benchmarks.parts.checks:whole_version"
    return plan_for(running, *asks, connections=32, rate=rate, seconds=seconds, warmup_s=1.0, check=check)


def kept_up(running: Running, rows: Sequence[Sequence[float]]) -> float:
    """The highest rate that the gateway keeps up with, in requests a second."""
    with LoadProcess(plan(running, rows, None, 3.0)) as loading:
        rate = loading.result().throughput
    while True:
        with LoadProcess(plan(running, rows, rate, 3.0)) as loading:
            seen = loading.result()
        if (not seen.failed and seen.latency.quantile(0.99) <= KEPT_UP_S) or rate < LEAST_RATE:
            return rate
        rate *= 0.85


def quiet(running: Running, rows: Sequence[Sequence[float]], rate: float) -> LoadReport:
    """The same load without swaps."""
    with LoadProcess(plan(running, rows, rate, QUIET_S)) as loading:
        return loading.result()


def swapped(running: Running, rows: Sequence[Sequence[float]], rate: float, swapping: Swapping) -> LoadReport:
    """The load while versions are swapped, in parts until all swaps are done."""
    found, begun = None, time.monotonic()
    while swapping.done < SWAPS and time.monotonic() - begun < MOST_S:
        with LoadProcess(plan(running, rows, rate, QUIET_S)) as loading:
            time.sleep(1.5)  # until it has warmed up
            end = time.monotonic() + QUIET_S - 1.5
            while swapping.done < SWAPS and time.monotonic() < end:
                following = time.monotonic() + EVERY_S
                swapping.swap(running)
                time.sleep(max(following - time.monotonic(), 0.0))
            report = loading.result()
        if found is None:
            found = report
        else:
            found.merge(report)
    assert found is not None
    return found


def measure(report: Report, running: Running, rows: Sequence[Sequence[float]], swapping: Swapping) -> None:
    """Before, during, after."""
    peak = kept_up(running, rows)
    for _ in range(10):
        swapping.swap(running)
    rate = peak * SHARE
    time.sleep(CALM_S)
    before, memory = quiet(running, rows, rate), _memory(running)
    during = swapped(running, rows, rate, swapping)
    time.sleep(CALM_S)
    after, memory_after = quiet(running, rows, rate), _memory(running)
    before.merge(after)
    failed = during.failed + during.refused
    report.add(Figure("swaps_peak", peak, "req/s"))
    report.add(Figure("swaps", swapping.done, "swaps", SWAPS, "at least"))
    report.add(Figure("swaps_requests", during.sent, "requests"))
    report.add(Figure("swaps_failed", failed, "requests", 0))
    for name, seen in (("quiet", before), ("swapping", during)):
        report.add(Figure(f"p99_{name}", seen.latency.quantile(0.99) * 1000, "ms"))
    ratio = during.latency.quantile(0.99) / before.latency.quantile(0.99)
    report.add(Figure("swaps_p99_over_quiet", ratio, "x", 1.5))
    report.add(Figure("swaps_memory_grown", (memory_after / memory - 1) * 100, "%", 5.0))
    for what, count in {**during.errors, **during.wrong}.items():
        print(f"swaps_failed: {count} {what}", flush=True)


def _memory(running: Running) -> float:
    found = usage(running.process.pid)
    return float("nan") if found is None else found.memory_bytes


def main() -> int:
    """Measure, print, write; 0 only if every goal holds."""
    report = Report("gateway_swaps", distributions=("granian", "lightgbm"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_models(folder)
        rows = read_rows(folder)[:ASKS]
        texts = [tree_text(TREES, seed) for seed in (1, 2)]
        scores = {
            str(place + 1): lightgbm.Booster(model_str=text).predict(np.array(rows)).tolist()
            for place, text in enumerate(texts)
        }
        os.environ[SCORES] = str(folder / "versions.json")
        Path(os.environ[SCORES]).write_text(json.dumps(scores), encoding="utf-8")
        root = folder / "project"
        write_project(root, {MODEL: Model("lightgbm", SIGNATURE, {"model.txt": texts[0].encode()})})
        with Running(gateway(root), folder, MODEL, bodies(rows[:1])["inputs"]) as running:
            measure(report, running, rows, Swapping(root, texts))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
