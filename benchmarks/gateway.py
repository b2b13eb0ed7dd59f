"""The gateway beside its peers: requests a second of the same models, from the same load generator.

Each server runs as its own guide says, with one worker, one thread to a kernel, and no logs of requests; ours
checks a key, validates, counts and logs every prediction. The load generator shares the cores with the
server. All servers of a model run at once, and all but the one that is asked are paused; ours is asked
between them. What counts is the best of 1, 16 and 64 connections. Peers come by `make bench-peers`; the lines
of one that is not there say so.

All take the same bytes, {"inputs": [[...]]}, and the limit is granian that gives them back; MLServer takes a
tensor of the Open Inference Protocol, and MLflow with a DataFrame signature a frame, with which ours is asked
too.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.parts.gateways import gateway, native_model, write_project
from benchmarks.parts.measuring import CONCURRENCY, load, rounds, scrape, throughput
from benchmarks.parts.pausing import awake, pause
from benchmarks.parts.scored import MODELS, bodies, read_rows, read_scores, write_models
from benchmarks.parts.servers import (
    ECHO,
    FASTAPI,
    MLFLOW,
    MLFLOW_FRAME,
    MODEL_SERVERS,
    PEERS,
    DidNotStart,
    Running,
    scores_in,
)
from benchmarks.peers import versions_of
from benchmarks.report import Figure, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.parts.servers import Server

ROUNDS = 3  # of one row; a thousand rows are asked in one
LOGGED_S = 2.5  # of a load with the prediction log, and of one without: both flush many times
TOLERANCE = 1e-6  # between a score of a server and that of the library that trained the model
OVER_MLFLOW, OVER_SERVERS, OVER_FASTAPI_ONNX, OF_ECHO = 30.0, 10.0, 3.0, 0.6
OURS = "esteira"
Best = dict[str, float]  # server → requests a second


class WrongScores(Exception):
    """A server that does not score as the library does: it would be measured at something else."""


@dataclass
class Bench:
    """One model on all servers, each started, checked and paused."""

    folder: Path
    model: str
    absent: dict[str, str] = field(default_factory=dict)  # server → why it is not measured
    running: dict[str, Running] = field(default_factory=dict)

    def open(self, stack: ExitStack, servers: tuple[Server, ...]) -> None:
        """Start what can be started."""
        rows = read_rows(self.folder)
        self.one, self.many = bodies(rows[:1]), bodies(rows)
        for server in servers:
            if self.model not in server.models:
                continue
            if not server.is_installed:
                self.absent[server.name] = "is not installed: make bench-peers"
                continue
            try:
                running = Running(server, self.folder, self.model, self.one[server.format])
            except DidNotStart as failed:
                self.absent[server.name] = str(failed)
                continue
            stack.callback(running.stop)
            self._check(running)
            pause(running)
            self.running[server.name] = running

    def turns(self) -> Iterator[Running]:
        """Every server, with ours before, between and after them."""
        others = [each for name, each in self.running.items() if name != OURS]
        for place, each in enumerate(others):
            if place % 3 == 0:
                yield self.running[OURS]
            yield each
        yield self.running[OURS]

    def _check(self, running: Running) -> None:
        if running.server is ECHO:
            return
        status, body = running.ask(self.many[running.server.format])
        wanted = read_scores(self.folder, self.model)
        found = scores_in(body) if status == 200 else []
        if (
            len(found) != len(wanted)
            or max(abs(a - b) for a, b in zip(found, wanted, strict=True)) > TOLERANCE
        ):
            raise WrongScores(f"{running.server.name} on {self.model}: status {status}, {len(found)} scores")


def best(measured: dict[str, dict[int, float]]) -> Best:
    """The best of the concurrencies."""
    return {name: max(each.values()) for name, each in measured.items()}


def one_row(report: Report, bench: Bench) -> Best:
    """Requests a second of one row, and how they stand to each other."""
    measured = rounds([*bench.turns()], bench.one, ROUNDS)
    for name, each in measured.items():
        for connections in CONCURRENCY:
            report.add(Figure(f"{bench.model}_{name}_c{connections}", each[connections], "req/s"))
    for name, why in bench.absent.items():
        print(f"{bench.model}_{name}: {why}", flush=True)
    found = best(measured)
    for line in goals(bench.model, found):
        report.add(line)
    framed = found.get(MLFLOW_FRAME.name)
    if framed:
        ours = bench.running[OURS]
        with awake(ours):
            frames = max(throughput(ours, bench.one[MLFLOW_FRAME.format], each) for each in CONCURRENCY)
        report.add(Figure(f"{bench.model}_{OURS}_frame", frames, "req/s"))
        report.add(Figure(f"{bench.model}_over_mlflow_frame", frames / framed, "x", OVER_MLFLOW, "at least"))
    return found


def goals(model: str, found: Best) -> list[Figure]:
    """The lines that hold or fall short, of those servers that were measured.

    The share of the echo has a goal where the model is light; 200 trees take longer than their request.
    """
    ours, lines = found[OURS], []
    servers = [found[each.name] for each in MODEL_SERVERS if found.get(each.name)]
    if found.get(MLFLOW.name):
        lines.append(Figure(f"{model}_over_mlflow", ours / found[MLFLOW.name], "x", OVER_MLFLOW, "at least"))
    if servers:
        lines.append(Figure(f"{model}_over_best_server", ours / max(servers), "x", OVER_SERVERS, "at least"))
    if found.get(FASTAPI.name):
        goal = OVER_FASTAPI_ONNX if model == "onnx" else None
        lines.append(Figure(f"{model}_over_fastapi", ours / found[FASTAPI.name], "x", goal, "at least"))
    goal = OF_ECHO if model != "lightgbm" else None
    lines.append(Figure(f"{model}_of_echo", ours / found[ECHO.name], "x", goal, "at least"))
    return lines


def many_rows(report: Report, bench: Bench) -> None:
    """Requests a second of a thousand rows."""
    found = best(rounds(list(bench.running.values()), bench.many, 1))
    for name, value in found.items():
        report.add(Figure(f"{bench.model}_{name}_1000_rows", value, "req/s"))
        if name not in {OURS, ECHO.name} and value:
            report.add(Figure(f"{bench.model}_1000_rows_over_{name}", found[OURS] / value, "x"))


def overhead(report: Report, bench: Bench, peak: float) -> None:
    """What the server adds to the model at half load: its own histograms, and what the client sees."""
    ours, echo = bench.running[OURS], bench.running[ECHO.name]
    body = bench.one[ours.server.format]
    added, seen, bare = [], [], []
    for turn in range(3):
        options = {"connections": 64, "rate": peak / 2, "seconds": 3.0, "seed": turn}
        with awake(ours):
            before = scrape(ours)
            seen.append(load(ours, body, **options).latency)
            added.append(scrape(ours).since(before))
        with awake(echo):
            bare.append(load(echo, body, **options).latency)
    report.add(Figure("overhead_p50", median(each.overhead(0.5) for each in added) * 1e6, "us", 60.0))
    report.add(Figure("overhead_p99", median(each.overhead(0.99) for each in added) * 1e6, "us", 1000.0))
    report.add(Figure("overhead_mean", median(each.mean_overhead for each in added) * 1e6, "us"))
    for name, latencies in (("client", seen), ("client_of_echo", bare)):
        for share in (0.5, 0.99):
            value = median(each.quantile(share) for each in latencies) * 1e6
            report.add(Figure(f"half_load_{name}_p{share * 100:g}", value, "us"))


def log_cost(report: Report, bench: Bench, root: Path, stack: ExitStack) -> None:
    """Throughput with and without the prediction log, in turns."""
    ours = bench.running[OURS]
    body = bench.one[ours.server.format]
    server = gateway(root, "unlogged", "benchmarks.parts.unlogged")
    without = Running(server, bench.folder, bench.model, body)
    stack.callback(without.stop)
    pause(without)
    costs = []
    for turn in range(6):
        pair = {}
        for running in (ours, without) if turn % 2 else (without, ours):
            with awake(running):
                pair[running] = load(running, body, connections=64, seconds=LOGGED_S).throughput
        costs.append(1.0 - pair[ours] / pair[without])
    report.add(Figure("prediction_log_cost", median(costs) * 100, "%", 10.0))


def main() -> int:
    """Measure, print, write; 0 only if every goal holds."""
    report = Report(
        "gateway", distributions=("granian", "scikit-learn", "lightgbm", "onnxruntime", "msgspec")
    )
    report.versions.update(versions_of(*{each.peer for each in PEERS}))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_models(folder)
        for model in MODELS:
            root = folder / f"project-{model}"
            write_project(root, {model: native_model(folder, model)})
            with ExitStack() as stack:
                bench = Bench(folder, model)
                bench.open(stack, (gateway(root), ECHO, *PEERS))
                peaks = one_row(report, bench)
                many_rows(report, bench)
                if model == MODELS[0]:
                    overhead(report, bench, peaks[OURS])
                    log_cost(report, bench, root, stack)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
