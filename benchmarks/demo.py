"""The whole demo as a stranger runs it: how long, how much memory, and what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter

from benchmarks.report import Figure, Report

GOAL_S, GOAL_MIB = 90.0, 2048.0
_LOOK_S = 0.25


def main() -> int:
    """Run `esteira demo` in a scratch folder; 0 only if it ends well within its time and memory."""
    report = Report("demo", distributions=("lightgbm", "mlflow", "granian", "deltalake", "duckdb", "lmdb"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(Path(sys.executable).with_name("esteira")), "demo", "--json"]
        command += ["--folder", str(Path(scratch) / "demo")]
        started = perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True)
        peak = _watch(process)
        said, _ = process.communicate()
        seconds = perf_counter() - started
    if process.returncode:
        print(f"esteira demo ended with exit code {process.returncode}")
        return 1
    played = json.loads(said)
    found = played["report"]
    report.add(Figure("demo", seconds, "s", GOAL_S))
    report.add(Figure("peak_memory_of_all_processes", peak[0] / 1024, "MiB", GOAL_MIB))
    report.add(Figure("requests_failed", played["failed"], "requests", 0))
    report.add(Figure("logged_values_unlike_training", found["parity"]["differing"], "cells", 0))
    report.add(Figure("requests", played["answered"] / played["replay_seconds"], "1/s"))
    report.add(Figure("gateway_p50", found["latency_p50"] * 1e6, "us"))
    report.add(Figure("gateway_p99", found["latency_p99"] * 1e6, "us"))
    return report.finish()


def _watch(process: subprocess.Popen[bytes]) -> list[float]:
    """The greatest sum of proportional memory (KiB) over the demo's processes; grows while it runs."""
    peak = [0.0]

    def look() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], sum(map(_memory, _family(process.pid))))
            threading.Event().wait(_LOOK_S)

    threading.Thread(target=look, daemon=True).start()
    return peak


def _family(root: int) -> list[int]:
    """The process and all below it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    family, waiting = [], [root]
    while waiting:
        each = waiting.pop()
        family.append(each)
        waiting += parents.get(each, [])
    return family


def _memory(pid: int) -> float:
    """Proportional set size in KiB: pages that processes share count once."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0.0)


if __name__ == "__main__":
    sys.exit(main())
