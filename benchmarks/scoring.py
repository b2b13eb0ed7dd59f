"""Batch scoring of a whole table beside the model's own library: what share of its speed, in how much memory?

The table has ten million rows of thirty numbers, the model two hundred trees. The library alone is given rows
in the same chunks as matrices that are ready, and only its calls are timed, on all cores; ours is the command
from its first line to its last, which reads the rows, checks them, scores them and writes every column with
the score. The library is timed before and after, as machines have moods; where others use the machine, too,
the share by processor time is the truer one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pyarrow as pa
from benchmarks.parts.scored import FEATURES, NAMES, tree_text
from benchmarks.report import Figure, Report

from esteira.data.tables.delta import DeltaTables
from esteira.project.station import open_station
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.serving.routes import Arm, Routes

ROWS, AT_ONCE, TREES = 10_000_000, 500_000, 200
ALONE = 2_000_000  # rows that the library gets, before and after: its speed depends on nothing else
CHUNK = 131_072  # rows that ours takes at once by itself
PAYLOAD = "model.txt"
_TABLE, _TARGET = "facts", "scores"
_LAY = """
import sys
from pathlib import Path
from benchmarks.scoring import lay
lay(Path(sys.argv[1]), int(sys.argv[2]))
"""
_BARE = """
import json, sys
from benchmarks.scoring import bare
print(json.dumps(bare(*sys.argv[1:3], int(sys.argv[3]), sys.argv[4])))
"""


def lay(folder: Path, rows: int) -> None:
    """A project with a model in production and a table of rows for it."""
    (folder / "esteira.toml").write_text('[project]\nname = "facts"\nfile = "facts.py"\n', encoding="utf-8")
    (folder / "facts.py").write_text(
        "from esteira import Project\nproject = Project('facts', steps=[])\n", encoding="utf-8"
    )
    station = open_station(folder)
    signature = Signature(tuple(Column(name) for name in NAMES), "label")
    model = Model("lightgbm", signature, {PAYLOAD: tree_text(TREES).encode()})
    (folder / PAYLOAD).write_bytes(model.files[PAYLOAD])
    digest = station.artifacts.put(model).digest
    station.routes.know("facts", 1, digest)
    station.routes.set(Routes("facts", (Arm("champion", 1, digest, 1.0),), "s"))
    chance = np.random.default_rng(7)
    for start in range(0, rows, AT_ONCE):
        matrix = np.round(chance.normal(size=(FEATURES, min(AT_ONCE, rows - start))), 6)
        station.tables.append(_TABLE, pa.table(dict(zip(NAMES, matrix, strict=True))))


def bare(url: str, model: str, rows: int, scores: str) -> tuple[float, float]:
    """Seconds, and seconds of processors, that the library takes for the first rows; writes what it says."""
    import lightgbm

    booster, threads = lightgbm.Booster(model_file=model), os.cpu_count()
    chunks = DeltaTables(url).scan(_TABLE, version=(rows - 1) // AT_ONCE, size=CHUNK)
    # All are read before the first is timed, for a scan reads ahead on threads of its own.
    matrices = [np.column_stack([chunk[name].to_numpy() for name in NAMES]) for chunk in chunks]
    begun, cpu = perf_counter(), process_time()
    found = [booster.predict(matrix, num_threads=threads) for matrix in matrices]
    seconds, cpu_seconds = perf_counter() - begun, process_time() - cpu
    np.save(scores, np.concatenate(found)[:rows])
    return seconds, cpu_seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of a command."""

    said: str
    seconds: float
    cpu_seconds: float
    peak_mb: float  # of memory


def measured(*command: str) -> Measured:
    """Run a command of this Python in a process of its own."""
    begun = perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ChildProcessError(f"{' '.join(command)[:80]} failed with exit code {process.returncode}")
    seconds = perf_counter() - begun
    return Measured(said, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main(rows: int = ROWS) -> int:
    """Measure, print, write; 0 only if all goals hold."""
    report = Report("scoring", distributions=("deltalake", "lightgbm", "pyarrow"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Elsewhere: the peak of a child counts what its parent held when it was started.
        measured("-c", _LAY, name, str(rows))
        station = open_station(folder)
        first = min(ALONE, rows)
        url, scores = station.settings.store("tables"), folder / "scores.npy"
        alone = ("-c", _BARE, url, str(folder / PAYLOAD), str(first), str(scores))
        before = measured(*alone)
        ours = measured("-m", "esteira", "score", _TABLE, _TARGET, "-C", name, "--json")
        after = measured(*alone)
        made = json.loads(ours.said)
        written = station.tables.read(_TARGET, columns=["score"])["score"].to_numpy()[:first]
        differing = first - int((written == np.load(scores)).sum())
    took = [json.loads(each.said) for each in (before, after)]
    library, processor = (2 * first / sum(each[part] for each in took) for part in (0, 1))
    report.add(Figure("rows", made["scored"], "", rows, "at least"))
    report.add(Figure("library_alone", library, "rows/s"))
    report.add(Figure("whole_command", rows / ours.seconds, "rows/s"))
    report.add(Figure("share_of_the_library", 100 * rows / ours.seconds / library, "%", 80, "at least"))
    report.add(Figure("share_by_processor_time", 100 * rows / ours.cpu_seconds / processor, "%"))
    report.add(Figure("peak_memory", ours.peak_mb, "MB", 1_024))
    report.add(Figure("scores_differing", differing, "", 0))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
