"""What a server costs the machine: the processor time and the memory of a process and all its children."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a family of processes: seconds on a processor so far, and bytes of memory now.

    Memory that processes share counts once: it is the sum of their proportional set sizes.
    """

    cpu_seconds: float
    memory_bytes: int


def family(pid: int) -> list[int]:
    """A process and its descendants that live now; none where the system keeps no /proc.

    >>> family(os.getpid())[:1] in ([], [os.getpid()])
    True
    """
    parents: dict[int, list[int]] = {}
    for folder in _PROC.glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [pid] if _stat(pid) else []
    for each in found:  # it grows while it is walked
        found += parents.get(each, [])
    return found


def usage(pid: int) -> Usage | None:
    """What a process and its descendants use; None where the system does not say, or it has ended."""
    members = family(pid)
    if not members:
        return None
    return Usage(sum(map(_cpu_seconds, members)), sum(map(_memory_bytes, members)))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold spaces: state, parent…"""
    with suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICK if fields else 0.0


def _memory_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
