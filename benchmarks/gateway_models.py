"""A thousand models behind one gateway, each there when it is asked for, as popular as Zipf's law says.

Latencies are those of models in memory, beside a gateway with one such model under the same load; memory is
that of two workers that hold them all, beside one.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from benchmarks.gateway_swaps import infer_body
from benchmarks.parts.gateways import SIGNATURE, gateway, write_project
from benchmarks.parts.measuring import plan_for, run
from benchmarks.parts.pausing import awake, pause
from benchmarks.parts.scored import bodies, read_rows, tree_text, write_models
from benchmarks.parts.servers import Running
from benchmarks.report import Figure, Report

from esteira.registry.bundle import Model
from esteira.serving.load.plan import Ask, LoadPlan
from esteira.serving.load.processes import usage

MODELS, TREES = 1_000, 50
EXPONENT = 1.1  # of Zipf's law
ROUNDS, SECONDS, CONNECTIONS = 5, 4.0, 16
MEMORY_MB = 4_096  # so much that all stay, and each comes when it is asked for
MIB = 1024**2


def some_models(count: int) -> dict[str, Model]:
    """Models that are told apart by their facts: each has a bundle of its own, of the same size."""
    text = tree_text(TREES).encode()
    return {
        f"m{place}": Model("lightgbm", SIGNATURE, {"model.txt": text}, {"place": place})
        for place in range(count)
    }


def popularity(count: int, draws: int = 50_000, seed: int = 7) -> tuple[int, ...]:
    """Places of models in the order in which they are asked."""
    shares = 1.0 / np.arange(1, count + 1) ** EXPONENT
    drawn = np.random.default_rng(seed).choice(count, size=draws, p=shares / shares.sum())
    return tuple(drawn.tolist())


def all_models(running: Running, body: bytes, count: int, **options: object) -> LoadPlan:
    """A load that asks every model in turn, unless an order is given."""
    asks = [Ask(f"/v2/models/m{place}/infer", body) for place in range(count)]
    return plan_for(running, *asks, connections=CONNECTIONS, **options)


def warm_up(running: Running, body: bytes, workers: int) -> int:
    """Ask every model until every worker must have it; how many requests failed."""
    requests = MODELS * 8 * workers
    found = run(all_models(running, body, MODELS, seconds=120.0, warmup_s=0.0, most_requests=requests))
    return found.failed


def latencies(report: Report, one: Running, many: Running, body: bytes) -> None:
    """The same load on one model and on all of them, in turns."""
    with awake(one):
        peak = run(all_models(one, body, 1, seconds=3.0)).throughput
    taken: dict[str, list[float]] = {"one": [], "many": []}
    order = popularity(MODELS)
    for turn in range(ROUNDS):
        for name, running, count in (("one", one, 1), ("many", many, MODELS)):
            with awake(running):
                plan = all_models(running, body, count, rate=peak / 2, seconds=SECONDS, seed=turn)
                found = run(plan if count == 1 else replace(plan, order=order))
                taken[name].append(found.latency.quantile(0.99))
    for name, seen in taken.items():
        report.add(Figure(f"models_{name}_p99", median(seen) * 1000, "ms"))
    ratio = median(many / one for one, many in zip(taken["one"], taken["many"], strict=True))
    report.add(Figure("models_p99_over_one_model", ratio, "x", 1.2))


def memory(report: Report, root: Path, folder: Path, body: bytes, first: bytes) -> None:
    """Two workers beside one, all models in memory."""
    found = {}
    for workers in (1, 2):
        toml = (root / "esteira.toml").read_text(encoding="utf-8")
        lines = [line for line in toml.splitlines() if not line.startswith("workers")]
        (root / "esteira.toml").write_text("\n".join([*lines, f"workers = {workers}", ""]), encoding="utf-8")
        with Running(gateway(root), folder, "m0", first) as running:
            warm_up(running, body, workers)
            used = usage(running.process.pid)
            found[workers] = float("nan") if used is None else used.memory_bytes
        report.add(Figure(f"models_memory_of_{workers}_workers", found[workers] / MIB, "MiB"))
    report.add(Figure("models_memory_two_over_one_worker", found[2] / found[1], "x", 1.3))


def main() -> int:
    """Measure, print, write; 0 only if every goal holds."""
    report = Report("gateway_models", distributions=("granian", "lightgbm"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_models(folder)
        rows = read_rows(folder)[:1]
        body, first = infer_body(rows[0]), bodies(rows)["inputs"]
        write_project(folder / "one", some_models(1))
        write_project(folder / "many", some_models(MODELS), more=f"memory_mb = {MEMORY_MB}\n")
        with (
            Running(gateway(folder / "one", "one"), folder, "m0", first) as one,
            Running(gateway(folder / "many", "many"), folder, "m0", first) as many,
        ):
            pause(one)
            report.add(Figure("models_start", many.start_seconds, "s"))
            report.add(Figure("models_failed_to_come", warm_up(many, body, 1), "requests", 0))
            pause(many)
            latencies(report, one, many, body)
        memory(report, folder / "many", folder, body, first)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
