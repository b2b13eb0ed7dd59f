"""Numbers that processes share through files: one writer for each file, any reader, no lock.

<worker>.values   doubles, memory-mapped: adding to one is an addition in memory
<worker>.names    JSON lines: family, labels, first slot, number of slots
"""

from __future__ import annotations

import json
import logging
import mmap
import struct
import threading
from typing import TYPE_CHECKING

from esteira.base.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

SLOTS = 65_536  # half a MiB for each worker, of which the disk holds only the part in use
_SINK = 64  # slots at the end that take what has no place; no series is longer
_WIDTH = struct.calcsize("d")


class Cells:
    """The numbers of one worker; without a folder they stay in this process. Raises: StorageUnwritable."""

    def __init__(self, folder: Path | None, worker: str, *, slots: int = SLOTS) -> None:
        self._folder = folder
        self._free, self._end = 0, slots - _SINK
        self._placing = threading.Lock()
        self._placed: list[tuple[str, tuple[str, ...], int, int]] = []
        if folder is None:
            self.values = memoryview(bytearray(slots * _WIDTH)).cast("d")
            return
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._names = (folder / f"{worker}.names").open("wb", buffering=0)
            with (folder / f"{worker}.values").open("w+b") as file:
                file.truncate(slots * _WIDTH)
                self.values = memoryview(mmap.mmap(file.fileno(), slots * _WIDTH)).cast("d")

    def place(self, family: str, labels: Sequence[str], size: int) -> int:
        """The first of `size` new slots; when none are left, slots that are counted but never read."""
        with self._placing:
            start = self._free
            if start + size > self._end:
                log.warning("no room for another series", extra={"family": family, "labels": [*labels]})
                return self._end
            self._free += size
            self._placed.append((family, tuple(labels), start, size))
            if self._folder is not None:
                self._names.write(json.dumps([family, [*labels], start, size]).encode() + b"\n")
            return start

    def read(self) -> Iterator[tuple[str, tuple[str, ...], list[float]]]:
        """Family, labels and numbers of every series of every worker in the folder."""
        if self._folder is None:
            for family, labels, start, size in list(self._placed):
                yield family, labels, [self.values[at] for at in range(start, start + size)]
            return
        for path in sorted(self._folder.glob("*.names")):
            content = path.with_suffix(".values").read_bytes()
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    family, names, start, size = json.loads(line)
                    yield family, tuple(names), [*struct.unpack_from(f"{size}d", content, start * _WIDTH)]
