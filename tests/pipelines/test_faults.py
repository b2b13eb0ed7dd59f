"""Kills, rivals and full disks: the state is whole, no committed step is repeated, none is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from esteira.base.records import RunStatus
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

LENGTH = 24
# Each step notes its execution in a side file before it returns; every third makes a table that is not small.
WORKER = """
import os, resource, sys, time
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet
from esteira.base.clock import SystemClock
from esteira.base.errors import EsteiraError
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.graph import Graph
from esteira.pipelines.journal import Journal
from esteira.pipelines.run import run
from esteira.pipelines.step import Step

LENGTH = 24

def noted(name):
    with open(os.environ["SIDE"], "ab", buffering=0) as side:
        side.write(f"{name}\\n".encode())

def table(at, before):
    noted(f"s{at}")
    time.sleep(float(os.environ["PAUSE"]))
    return pa.table({"n": [at + before] * 3000, "m": list(range(3000))})

def number(at, before):
    noted(f"s{at}")
    time.sleep(float(os.environ["PAUSE"]))
    return at + (before.num_rows if isinstance(before, pa.Table) else before)

def chained(at):
    make = table if at % 3 == 0 else number
    def first():
        return make(at, 0)
    first.__name__ = f"s{at}"
    def following(before):
        return make(at, before)
    if at == 0:
        return Step("s0", first)
    scope = {"following": following}
    exec(f"def s{at}(s{at - 1}): return following(s{at - 1})", scope)
    return Step(f"s{at}", scope[f"s{at}"])

def plain(value):
    return value.num_rows if isinstance(value, pa.Table) else value

def main(folder, options):
    steps = [chained(at) for at in range(LENGTH)]
    journal = Journal(f"sqlite:{folder}/journal.db")
    artifacts = ArtifactStore(f"file:{folder}/artifacts")
    ArtifactStore(f"file:{folder}/warm").put(pa.table({"a": [1]}))  # so that everything is loaded
    print("ready", flush=True)
    if "limit" in options:
        limit = options.pop("limit")
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.stdin.readline()
    try:
        stores = {"journal": journal, "artifacts": artifacts, "clock": SystemClock()}
        outcome = run(Graph(steps), project="chain", **stores, **options)
    except EsteiraError as error:
        print(type(error).__name__, error, flush=True)
        sys.exit(3)
    print(outcome.run.id, outcome.run.status, plain(outcome.value(f"s{LENGTH - 1}")), flush=True)

if __name__ == "__main__":
    import json
    main(sys.argv[1], json.loads(sys.argv[2]))
"""


@dataclass
class Bench:
    """A folder with the worker, its stores and the side file that counts executions."""

    folder: Path

    def start(self, *, pause: float = 0.0, **options: object) -> subprocess.Popen[str]:
        script = self.folder / "worker.py"
        script.write_text(WORKER, encoding="utf-8")
        child = subprocess.Popen(
            [sys.executable, str(script), str(self.folder), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "SIDE": str(self.side), "PAUSE": str(pause)},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    @property
    def side(self) -> Path:
        return self.folder / "executed.txt"

    def executed(self) -> Counter[str]:
        return Counter(self.side.read_text().split()) if self.side.exists() else Counter()

    @property
    def journal(self) -> Journal:
        return Journal(f"sqlite:{self.folder}/journal.db")

    @property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(f"file:{self.folder}/artifacts")

    def committed(self) -> set[str]:
        return {
            s.step for run in self.journal.runs() for s in self.journal.steps(run.id) if s.status == "done"
        }


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def finished(child: subprocess.Popen[str], code: int = 0) -> str:
    said, complaint = child.communicate("\n", timeout=60)
    assert child.returncode == code, (said, complaint)
    assert "Traceback" not in complaint
    return said.strip()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def kill_and_resume(bench: Bench, kills: int, *, use_cache: bool) -> None:
    chance = random.Random(7)
    for _ in range(kills):
        before, committed = bench.executed(), bench.committed()
        child = bench.start(pause=0.01, use_cache=use_cache)
        go(child)
        more = chance.randint(1, 3)
        while bench.executed().total() < before.total() + more and child.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.02))  # in the step, in its commit, or between two
        child.send_signal(signal.SIGKILL)
        child.communicate()
        repeated = {
            name for name, count in bench.executed().items() if name in committed and count > before[name]
        }
        assert repeated == set()
        assert committed <= bench.committed()
        assert bench.artifacts.check() == []
    assert bench.committed(), "the kills were to fall in the middle"
    before, committed = bench.executed(), bench.committed()
    said = finished(bench.start(use_cache=use_cache))
    after = bench.executed()
    assert {name for name in after if after[name] > before[name]} == {
        f"s{at}" for at in range(LENGTH)
    } - committed
    assert said.split()[1:] == ["done", str(sum(at for at in range(22, 24)) + 3000)]
    assert bench.committed() == {f"s{at}" for at in range(LENGTH)}
    runs = bench.journal.runs()
    assert [run.status for run in runs] == [RunStatus.DONE] * len(runs)


@pytest.mark.slow
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_run_killed_again_and_again_loses_and_repeats_no_committed_step(
    bench: Bench, *, use_cache: bool
) -> None:
    kill_and_resume(bench, 3, use_cache=use_cache)


@pytest.mark.slow
def test_the_same_run_in_another_living_process_is_refused(bench: Bench) -> None:
    first = bench.start(pause=0.05)
    second = bench.start()
    go(first)
    while not bench.journal.runs():
        assert first.poll() is None
        time.sleep(0.01)
    said = finished(second, code=3)
    (run,) = bench.journal.runs()
    assert said == (
        f"RunInProgress run {run.id} is in progress in process {first.pid}; wait for it, or stop that process"
    )
    assert finished(first).startswith(f"{run.id} done")
    assert set(bench.executed().values()) == {1}


@pytest.mark.slow
def test_two_processes_that_run_the_same_graph_at_once_corrupt_nothing(bench: Bench) -> None:
    children = [bench.start(resume=False) for _ in range(2)]
    for child in children:
        go(child)
    said = {finished(child).split(" ", 1)[1] for child in children}
    assert said == {"done 3045"}
    assert bench.artifacts.check() == []
    first, second = ([s.artifact for s in bench.journal.steps(run.id)] for run in bench.journal.runs())
    assert first == second
    assert len(first) == LENGTH


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2_000, 100_000])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(bench: Bench, limit: int) -> None:
    said = finished(
        bench.start(limit=limit), code=3
    )  # no file may grow beyond the limit: an artifact, the journal
    assert said.startswith("StorageUnwritable cannot write to ")
    assert "free space or choose another folder" in said
    assert bench.artifacts.check() == []
    assert list(bench.folder.glob("artifacts/.scratch/*")) == []
    committed = bench.committed()
    assert len(committed) < LENGTH
    assert finished(bench.start()).endswith("done 3045")
    assert all(bench.executed()[name] == 1 for name in committed)
