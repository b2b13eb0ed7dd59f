"""How long servers take from their start to the first good answer, one model each, in turns."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.parts.gateways import gateway, native_model, write_project
from benchmarks.parts.scored import bodies, read_rows, write_models
from benchmarks.parts.servers import PEERS, DidNotStart, Running
from benchmarks.peers import versions_of
from benchmarks.report import Figure, Report

RUNS, PEER_RUNS = 20, 3
MODEL = "logreg"
GOAL_S = 0.7


def main() -> int:
    """Measure, print, write; 0 only if the goal holds."""
    report = Report("gateway_start", distributions=("granian", "scikit-learn"))
    report.versions.update(versions_of(*{each.peer for each in PEERS}))
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_models(folder)
        write_project(folder / "project", {MODEL: native_model(folder, MODEL)})
        ours, body = gateway(folder / "project"), bodies(read_rows(folder)[:1])
        for turn in range(RUNS):
            for server in (ours, *(PEERS if turn < PEER_RUNS else ())):
                if not server.is_installed:
                    continue
                try:
                    with Running(server, folder, MODEL, body[server.format]) as running:
                        taken.setdefault(server.name, []).append(running.start_seconds)
                except DidNotStart as failed:
                    print(f"start_{server.name}: {failed}", flush=True)
    for server in (ours, *PEERS):
        if server.name in taken:
            goal = GOAL_S if server is ours else None
            report.add(Figure(f"start_{server.name}", median(taken[server.name]), "s", goal))
        elif not server.is_installed:
            print(f"start_{server.name}: is not installed: make bench-peers", flush=True)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
