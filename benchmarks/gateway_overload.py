"""Three times the load that the gateway can answer, and its end in the middle of a load.

The model is heavy, 20,000 trees, so that it is the server that is short of time and not the load generator.
Goodput is what was answered 200; a refusal's time counts from when its request was sent.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.parts.gateways import SIGNATURE, gateway, write_project
from benchmarks.parts.measuring import load, plan_for
from benchmarks.parts.scored import bodies, read_rows, tree_text, write_models
from benchmarks.parts.servers import Running
from benchmarks.report import Figure, Report

from esteira.base.settings import load_settings
from esteira.monitoring.prediction_log import PREDICTIONS, predictions_table
from esteira.monitoring.segments import folder_of, read_segments
from esteira.registry.bundle import Model
from esteira.serving.load.plan import Ask, LoadReport
from esteira.serving.load.process import LoadProcess

HEAVY_TREES = 20_000
ROUNDS, SECONDS = 3, 4.0
OVERLOAD, CONNECTIONS = 3.0, 768  # more than the gateway lets wait
ENDINGS = 5
FLUSH_S = 0.5  # after which everything that was answered is on disk


def overload(report: Report, running: Running, body: bytes) -> None:
    """Peak and overload in turns."""
    peaks, kept, all_of_them = [], [], LoadReport()
    for _ in range(ROUNDS):
        peaks.append(load(running, body, connections=16, seconds=SECONDS).throughput)
        options = {"rate": peaks[-1] * OVERLOAD, "arrivals": "constant", "seconds": SECONDS}
        under = load(running, body, connections=CONNECTIONS, **options)
        under.errors.pop("unsent", None)  # due when every connection was busy: nothing was asked
        kept.append(under.throughput / peaks[-1])
        all_of_them.merge(under)
    refused = all_of_them.refused / sum(all_of_them.answers.values())
    report.add(Figure("overload_peak", median(peaks), "req/s"))
    report.add(Figure("overload_goodput_of_peak", median(kept), "x", 0.9, "at least"))
    report.add(Figure("overload_answer_p99", all_of_them.latency.quantile(0.99) * 1000, "ms"))
    report.add(Figure("overload_refused", refused * 100, "%"))
    report.add(Figure("overload_refusal_p99", all_of_them.refusals.quantile(0.99) * 1000, "ms", 5.0))
    report.add(Figure("overload_failed", all_of_them.failed, "requests", 0))


def endings(report: Report, root: Path, folder: Path, body: bytes) -> None:
    """SIGTERM in the middle of a load: what was answered is logged, and what is logged was answered."""
    found = {"answered": 0, "scored_not_answered": 0, "answered_not_logged": 0, "cut": 0}
    for _ in range(ENDINGS):
        with Running(gateway(root), folder, "heavy", body) as running:
            time.sleep(FLUSH_S)
            before = logged(root)
            seen = ended(running, body)
        scored, answered = logged(root) - before, seen.answers.get(200, 0)
        found["answered"] += answered
        found["scored_not_answered"] += max(0, scored - answered)
        found["answered_not_logged"] += max(0, answered - scored)
        found["cut"] += seen.errors.get("cut", 0) + seen.errors.get("timeout", 0)
    for name, count in found.items():
        report.add(Figure(f"sigterm_{name}", count, "requests", None if name == "answered" else 0))


def ended(running: Running, body: bytes) -> LoadReport:
    """A load in whose middle the server is told to end."""
    bounds = {"seconds": 2.5, "warmup_s": 0.0, "timeout_s": 5.0}
    plan = plan_for(running, Ask(running.server.path, body), connections=16, **bounds)
    with LoadProcess(plan) as loading:
        time.sleep(1.5)
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(20)
        return loading.result()


def logged(root: Path) -> int:
    """How many predictions are in the log of a project."""
    folder = folder_of(load_settings(root, {}).store("predictions"))
    count, cursor = 0, dict[str, int]()
    while True:
        records, cursor = read_segments(folder, PREDICTIONS, cursor)
        if not records:
            return count
        count += predictions_table(records).num_rows


def main() -> int:
    """Measure, print, write; 0 only if every goal holds."""
    report = Report("gateway_overload", distributions=("granian", "lightgbm"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_models(folder)
        root = folder / "project"
        heavy = Model("lightgbm", SIGNATURE, {"model.txt": tree_text(HEAVY_TREES).encode()})
        write_project(root, {"heavy": heavy})
        body = bodies(read_rows(folder)[:1])["inputs"]
        with Running(gateway(root), folder, "heavy", body) as running:
            overload(report, running, body)
        endings(report, root, folder, body)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
