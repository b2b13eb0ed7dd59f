"""What every benchmark writes: one line per figure, and the same as JSON with versions and machine."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parent / "results"
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number and the goal that it holds or falls short of; no goal, no verdict.

    >>> Figure("import_esteira", 12.5, "ms", 60.0).line()
    'import_esteira                    12.5 ms       <= 60  holds'
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    bound: Literal["at most", "at least"] = "at most"

    @property
    def is_short(self) -> bool:
        """Whether there is a goal and the value misses it."""
        if self.goal is None:
            return False
        return self.value > self.goal if self.bound == "at most" else self.value < self.goal

    def line(self) -> str:
        """`name  value unit  goal  holds|short`."""
        shown = f"{self.name:<28}{self.value:>10.4g} {self.unit:<8}"
        if self.goal is None:
            return shown.rstrip()
        sign = "<=" if self.bound == "at most" else ">="
        return f"{shown}{f'{sign} {self.goal:g}':>6}  {'short' if self.is_short else 'holds'}"

    def to_plain(self) -> dict[str, object]:
        """The figure as JSON values, to six digits."""
        holds = None if self.goal is None else not self.is_short
        return {**asdict(self), "value": float(f"{self.value:.6g}"), "holds": holds}


class Report:
    """The figures of one area, printed as they come and written at the end."""

    def __init__(self, area: str, *, distributions: Sequence[str] = (), results: Path = RESULTS) -> None:
        self.area, self.distributions, self.results = area, tuple(distributions), results
        self.figures: list[Figure] = []
        self.versions: dict[str, str] = {}  # of what was measured in other environments

    def add(self, figure: Figure) -> None:
        """Print a figure and keep it."""
        print(figure.line(), flush=True)
        self.figures.append(figure)

    def finish(self) -> int:
        """Write `results/AREA.json`; the exit code: 0 only if every goal holds."""
        document = {
            "area": self.area,
            "measured_on": datetime.now(UTC).date().isoformat(),
            "figures": [figure.to_plain() for figure in self.figures],
            "versions": versions(("esteira-ml", *self.distributions)) | self.versions,
            "machine": machine(),
        }
        self.results.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (self.results / f"{self.area}.json").write_text(text, encoding="utf-8")
        return int(any(figure.is_short for figure in self.figures))


def versions(distributions: Sequence[str]) -> dict[str, str]:
    """Installed version of each distribution; "absent" for one that is not there."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def machine() -> dict[str, object]:
    """What the figures depend on: CPU, cores, memory, system, Python. No host name and no path."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / GIB, 1),
        "system": _system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _cpu_model() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        name = f"{platform.system()} {platform.release()}"
    return f"{name} ({platform.machine()})"
