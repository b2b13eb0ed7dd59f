"""How long the first answer takes: `import esteira` and `esteira --help`, beyond a bare Python.

Every round starts each command once, so that a busy machine disturbs all of them alike; a figure is the
median over rounds of what the command took longer than the bare start of the same round.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.report import Figure, Report

ROUNDS = 25
WARM_UP = 2  # the first starts write bytecode and fill the page cache
COMMANDS = {
    "bare_python": (sys.executable, "-c", "pass"),
    "import_esteira": (sys.executable, "-c", "import esteira"),
    "esteira_help": (str(Path(sys.executable).with_name("esteira")), "--help"),
}
GOALS = {"import_esteira": 60.0, "esteira_help": 150.0}  # ms beyond bare_python


def milliseconds(command: tuple[str, ...]) -> float:
    """Wall time of one start. Raises: CalledProcessError when the command fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return (perf_counter() - started) * 1000


def measure(rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Wall times in milliseconds of every command, one per round."""
    for _ in range(WARM_UP):
        for command in COMMANDS.values():
            milliseconds(command)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            taken[name].append(milliseconds(command))
    return taken


def main() -> int:
    """Measure, print, write; 0 only if both goals hold."""
    report = Report("startup")
    try:
        taken = measure()
    except subprocess.CalledProcessError as failed:
        print(
            f"{Path(failed.cmd[0]).name} {' '.join(failed.cmd[1:])} ended with exit code {failed.returncode}"
        )
        return 1
    bare = taken["bare_python"]
    report.add(Figure("bare_python", median(bare), "ms"))
    for name, goal in GOALS.items():
        beyond = median(own - floor for own, floor in zip(taken[name], bare, strict=True))
        report.add(Figure(f"{name}_beyond_bare", beyond, "ms", goal))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
