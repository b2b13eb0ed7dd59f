"""What a rollout costs those who are answered: a shadow of every request, and how soon a challenger leaves.

Both on a gateway that runs: latencies with and without the shadow at 60 % of what the gateway keeps up with;
and the time from new routes, written by this process, to the last request that a worker gave the challenger.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.parts.gateways import SIGNATURE, gateway, write_project
from benchmarks.parts.scored import bodies, read_rows, tree_text, write_models
from benchmarks.parts.servers import Running
from benchmarks.parts.shadowing import Shadowing, kept_up, shadow_cost
from benchmarks.parts.withdrawing import withdrawals
from benchmarks.report import Figure, Report

from esteira.base.settings import load_settings
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.serving.routes import RouteStore

TREES, ROUNDS, SHARE, TURNS, TURN_S = 200, 30, 0.6, 12, 4.0


def model(seed: int) -> Model:
    """Trees of the size that a team serves."""
    return Model("lightgbm", SIGNATURE, {"model.txt": tree_text(TREES, seed).encode()})


def shadowed(report: Report, scratch: Path) -> None:
    """The primary's latency with and without a shadow of every request."""
    rows = read_rows(scratch)[:32]
    root, sent = scratch / "shadowed", [bodies([row])["oip"] for row in rows]
    write_project(root, {"plain": model(1), "late": model(1)})
    with Running(gateway(root), scratch, "plain", bodies(rows[:1])["inputs"]) as running:
        rate = SHARE * kept_up(running, "plain", sent)
        shadowing = Shadowing(running, load_settings(root, {}).store("state"), "plain", "late")
        cost = shadow_cost(shadowing, sent, rate, turns=TURNS, seconds=TURN_S)
    report.add(Figure("shadow_rate", rate, "req/s"))
    for level, name in ((0.5, "p50"), (0.99, "p99")):
        for words, seen in (("alone", cost.of_alone), ("shadowed", cost.of_shadowed)):
            report.add(Figure(f"shadow_{name}_{words}", seen.quantile(level) * 1e3, "ms"))
    report.add(Figure("shadow_p99_over_alone", cost.ratio, "x", 1.05))
    report.add(Figure("shadow_requests_failed", cost.failed, "requests", 0))
    report.add(Figure("shadow_answered", 100 * cost.share_asked, "%"))
    report.add(Figure("shadow_not_counted", float(not cost.is_exact), "", 0))


def withdrawn(report: Report, scratch: Path) -> None:
    """How long any of two workers still asks the challenger after its share is zero."""
    rows = read_rows(scratch)[:1]
    root = scratch / "withdrawn"
    write_project(root, {"late": model(1)}, more="workers = 2\n")
    settings = load_settings(root, {})
    artifacts, routes = ArtifactStore(settings.store("artifacts")), RouteStore(settings.store("state"))
    digests = [artifacts.put(model(seed)).digest for seed in (1, 2)]
    with Running(gateway(root), scratch, "late", bodies(rows)["inputs"]) as running:
        found = withdrawals(running, routes, "late", digests, rows[0], rounds=ROUNDS)
    for name, level in (("p50", 0.5), ("max", 1.0)):
        goal = 100.0 if name == "max" else None
        report.add(Figure(f"withdrawn_{name}", float(np.quantile(found, level)) * 1e3, "ms", goal))


def main() -> int:
    """Measure, print, write; 0 only if every goal holds."""
    report = Report("rollout_live", distributions=("granian", "lightgbm"))
    with tempfile.TemporaryDirectory() as scratch:
        write_models(Path(scratch))
        withdrawn(report, Path(scratch))
        shadowed(report, Path(scratch))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
