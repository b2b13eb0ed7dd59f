"""Whether the process of a run still lives: its number, and its birth, since numbers are used again."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_BOOT = _PROC / "sys/kernel/random/boot_id"
_STATE, _BORN = 0, 19  # fields of /proc/PID/stat after the name: state, and ticks from boot to birth


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process as no later one can be mistaken for it."""

    pid: int
    born: str

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs; a zombie does not.

        >>> this_process().is_alive, ProcessMark(this_process().pid, "another birth").is_alive
        (True, False)
        """
        return bool(self.born) and birth_of(self.pid) == self.born


def this_process() -> ProcessMark:
    """The mark of the process that asks."""
    pid = os.getpid()
    return ProcessMark(pid, birth_of(pid))


def birth_of(pid: int) -> str:
    """When a living process was born, in words that only this birth has; empty when there is none."""
    return _birth_from_proc(pid) if (_PROC / "self/stat").exists() else _birth_from_ps(pid)


def _birth_from_proc(pid: int) -> str:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if fields[_STATE] in "ZX" else f"{_boot()}:{fields[_BORN]}"


def _birth_from_ps(pid: int) -> str:
    """For systems without /proc."""
    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"LC_ALL": "C", **os.environ}
    )
    state, _, born = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else born.strip()


@cache
def _boot() -> str:
    return _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
