"""Numbers that processes share through files: one process writes each file, any reads it, without a lock.

<worker>.values   doubles, memory-mapped: adding to one is an addition in memory
<worker>.names    JSON lines: family, labels, first slot, number of slots

The writer holds a lock on its values, which the kernel lets go when the process dies: so readers know whose
numbers are of the past. The files of a dead worker stay, as what it counted did happen.
"""

from __future__ import annotations

import fcntl
import json
import logging
import mmap
import os
import struct
import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from esteira.base.files import writing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

SLOTS = 4 * 1024 * 1024  # of address space; memory and disk hold only the blocks in use
SINK = 64  # the first slots take what has no place and are never read; no series is longer
_BLOCK = 8_192  # slots that are reserved on disk at once: writing to a hole of a full disk would kill us
_WIDTH = struct.calcsize("d")


class Place(NamedTuple):
    """Where the numbers of a series stand."""

    family: str
    labels: tuple[str, ...]
    start: int
    size: int


class Cells:
    """The numbers of one worker; without a folder they stay in this process. Raises: StorageUnwritable."""

    def __init__(self, folder: Path | None, worker: str, *, slots: int = SLOTS) -> None:
        self._free, self._end = SINK, slots
        self._placing, self._complained = threading.Lock(), False
        self._placed: list[Place] = []
        self._file: FileIO | None = None
        if folder is None:
            self._reserved = slots
            self._map(-1, slots)
            return
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file, name = _new_file(folder, worker)
            self._file.truncate(slots * _WIDTH)
            self._reserved = 0
            self._reserve(SINK)
            self._map(self._file.fileno(), slots)
            self._names = (folder / f"{name}.names").open("xb", buffering=0)

    def place(self, family: str, labels: Sequence[str], size: int, value: float = 0.0) -> int:
        """The first of `size` new slots, which hold `value`.

        When the slots or the disk are full, slots that are counted but never read.
        """
        with self._placing:
            place = Place(family, tuple(labels), self._free, size)
            try:
                self._reserve(place.start + size)
                for slot in range(place.start, place.start + size):
                    self.values[slot] = value
                self._name(place)
            except OSError as refused:
                self._complain(place, refused)
                return 0
            self._free += size
            self._placed.append(place)
            return place.start

    def close(self) -> None:
        """End as a dead worker does: what was counted stays, gauges are of the past."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def placed(self) -> Sequence[Place]:
        """Every series, in the order in which they came."""
        return self._placed

    def numbers(self) -> NDArray[np.float64]:
        """All slots as they are now."""
        return self._array

    def is_alive(self) -> bool:
        """Whether somebody counts here."""
        return True

    def _map(self, file: int, slots: int) -> None:
        mapped = mmap.mmap(file, slots * _WIDTH)
        self.values = memoryview(mapped).cast("d")
        self._array = np.frombuffer(mapped, dtype=np.float64)

    def _reserve(self, slots: int) -> None:
        if slots > self._end:
            raise OSError(f"all {self._end} slots are taken")
        while slots > self._reserved and self._file is not None:
            size = min(_BLOCK, self._end - self._reserved)
            written = os.pwrite(self._file.fileno(), bytes(size * _WIDTH), self._reserved * _WIDTH)
            if written < size * _WIDTH:
                raise OSError("the disk is full")
            self._reserved += size

    def _name(self, place: Place) -> None:
        if self._file is None:
            return
        line = json.dumps([place.family, [*place.labels], place.start, place.size]).encode() + b"\n"
        before = self._names.tell()
        try:
            if self._names.write(line) < len(line):
                raise OSError("the disk is full")
        except OSError:
            self._names.truncate(before)  # half a name must not stand before the next one
            self._names.seek(before)
            raise

    def _complain(self, place: Place, refused: OSError) -> None:
        if not self._complained:
            self._complained = True
            facts = {"family": place.family, "labels": place.labels, "reason": str(refused)}
            log.error("no room for another series; it and others are not counted", extra=facts)


class WorkerCells:
    """What one worker counted, read from its files by anybody."""

    def __init__(self, names: Path) -> None:
        self._names, self._values = names.open("rb"), names.with_suffix(".values").open("rb")
        self._read_to, self._placed, self._died = 0, list[Place](), False
        self._mapped = np.memmap(self._values, dtype=np.float64, mode="r")

    def placed(self) -> Sequence[Place]:
        """Every series whose name is whole on disk by now."""
        self._names.seek(self._read_to)
        content = self._names.read()
        for line in content[: content.rfind(b"\n") + 1].splitlines(keepends=True):
            self._read_to += len(line)
            family, labels, start, size = json.loads(line)
            self._placed.append(Place(family, tuple(labels), start, size))
        return self._placed

    def numbers(self) -> NDArray[np.float64]:
        """All slots as they are now."""
        return self._mapped

    def is_alive(self) -> bool:
        """Whether the process that counts here lives."""
        if not self._died:
            try:
                fcntl.flock(self._values, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            self._died = True
        return False


def _new_file(folder: Path, worker: str) -> tuple[FileIO, str]:
    name, number = worker, 0
    while True:
        try:
            file = (folder / f"{name}.values").open("x+b", buffering=0)
        except FileExistsError:  # a process id comes again: what was counted under it is not written over
            number += 1
            name = f"{worker}-{number}"
            continue
        fcntl.flock(file, fcntl.LOCK_EX)
        return file, name
