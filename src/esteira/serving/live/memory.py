"""How much memory models take, and which of them leave when it is too much.

A load cannot be weighed alone: requests allocate beside it, and memory that a model left is used again by the
next one. But errors of that kind cancel out over many loads. So the size of a version is its bundle's bytes
times a factor, which is what the loads of its runtime have taken together over what their bundles have
together; loads that overlap are not weighed.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MIB = 1024 * 1024
OWN_BYTES = 48 * 1024  # of a version whatever its bundle: signature, decoders, the runtime's objects
FACTOR = 2.0  # what is assumed of a runtime before loads say better
_ASSUMED_BYTES = 4 * MIB  # how much bundle the assumption counts as
_LEAST, _MOST = 1.0, 32.0


def resident_bytes() -> int:
    """The memory of this process that is in the machine; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def bundle_bytes(folder: Path) -> int:
    """The size of a bundle on disk."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Scales:
    """What versions weigh in memory, learned from the loads that were weighed."""

    def __init__(self, resident: Callable[[], int] = resident_bytes) -> None:
        self._resident = resident
        self._grown: dict[str, float] = {}  # by runtime: bytes of memory
        self._bundled: dict[str, float] = {}  # and of bundles
        self._lock, self._loading, self._overlaps = threading.Lock(), 0, False

    def size(self, bundled: int, platform: str = "") -> int:
        """The bytes of memory of a version; without its runtime's name, as the runtimes are on average."""
        names = [platform] if platform else list(self._bundled)
        bundles = _ASSUMED_BYTES + sum(self._bundled.get(name, 0) for name in names)
        grown = FACTOR * _ASSUMED_BYTES + sum(self._grown.get(name, 0) for name in names)
        return OWN_BYTES + round(bundled * min(max(grown / bundles, _LEAST), _MOST))

    @contextmanager
    def weighing(self, bundled: int) -> Iterator[list[str]]:
        """Learn from the load in the block, which appends the name of its runtime."""
        with self._lock:
            self._loading += 1
            self._overlaps = self._loading > 1
            before = self._resident()
        platform: list[str] = []
        try:
            yield platform
        finally:
            with self._lock:
                self._loading -= 1
                if platform and not self._overlaps:
                    name, grown = platform[0], self._resident() - before - OWN_BYTES
                    self._grown[name] = self._grown.get(name, 0.0) + grown
                    self._bundled[name] = self._bundled.get(name, 0.0) + bundled
                self._overlaps = self._loading > 0


def leavers(residents: Mapping[str, tuple[float, int]], room: int) -> list[str]:
    """The least recently used, so that the others take at most `room` bytes together.

    `residents` are (when last used, bytes) by name; of two used at one time the first goes first.
    >>> leavers({"a": (5, 40), "b": (3, 40), "c": (4, 40)}, room=80)
    ['b']
    """
    total = sum(size for _, size in residents.values())
    gone = []
    for name in sorted(residents, key=lambda each: residents[each][0]):
        if total <= room:
            break
        gone.append(name)
        total -= residents[name][1]
    return gone
