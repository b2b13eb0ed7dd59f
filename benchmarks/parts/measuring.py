"""Points of load on a running server, measured in turns and told by their medians."""

from __future__ import annotations

import gc
import urllib.request
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.parts.pausing import awake

from esteira.serving.load.generator import Generator
from esteira.serving.load.plan import Ask, LoadPlan
from esteira.serving.load.scrapes import Scrape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.parts.servers import Running

    from esteira.serving.load.plan import LoadReport

CONCURRENCY = (1, 16, 64)
SECONDS, WARMUP_S = 0.8, 0.2


def plan_for(running: Running, *asks: Ask, **options: object) -> LoadPlan:
    """A load on a server. Options are those of `LoadPlan`."""
    headers = {"content-type": "application/json", **running.server.headers}
    chosen = {"seconds": SECONDS, "warmup_s": WARMUP_S, "timeout_s": 30.0, **options}
    return LoadPlan(running.url, asks, headers=headers, **chosen)


def load(running: Running, body: bytes, **options: object) -> LoadReport:
    """One body again and again, from this process: nothing else runs in it."""
    return run(plan_for(running, Ask(running.server.path, body), **options))


def run(plan: LoadPlan) -> LoadReport:
    """A load from this process."""
    gc.collect()
    gc.disable()
    try:
        return Generator(plan).run()
    finally:
        gc.enable()


def throughput(running: Running, body: bytes, connections: int) -> float:
    """Answers 200 a second in a closed loop; 0 of a server that failed, and what it did is said.

    A refusal for want of time or room is no failure, and no answer either.
    """
    report = load(running, body, connections=connections)
    if report.failed or report.refused:
        seen = {**report.answers, **report.errors}
        print(f"{running.server.name} with {connections} connections: {seen}", flush=True)
    return 0.0 if report.failed else report.throughput


def rounds(turns: Sequence[Running], bodies: Mapping[str, bytes], times: int) -> dict[str, dict[int, float]]:
    """Server → connections → median throughput; one that stands in `turns` twice is measured twice."""
    taken: dict[str, dict[int, list[float]]] = {}
    for _ in range(times):
        for running in turns:
            body = bodies[running.server.format]
            with awake(running):
                for connections in CONCURRENCY:
                    seen = taken.setdefault(running.server.name, {}).setdefault(connections, [])
                    seen.append(throughput(running, body, connections))
    return {
        name: {connections: median(seen) for connections, seen in each.items()}
        for name, each in taken.items()
    }


def scrape(running: Running) -> Scrape:
    """A look at /metrics. Raises: OSError."""
    asked = urllib.request.Request(f"{running.url}/metrics", headers=dict(running.server.headers))
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return Scrape.of(answer.read().decode())
