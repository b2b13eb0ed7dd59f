"""A temporary folder that is there as long as the process that holds it, `kill -9` included."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from weakref import finalize

from esteira.base.files import writing

PREFIX = "esteira-model-"


class ScratchFolder:
    """An empty folder of this user alone; it vanishes with this object, and with this process at the latest.

    Its holder locks it. What a killed process left behind is locked by nobody, and is removed by the next one
    that makes a folder. Raises: StorageUnwritable.
    """

    def __init__(self, place: Path | None = None) -> None:
        place = Path(tempfile.gettempdir()) if place is None else place
        with writing(place):
            _sweep(place)
            self.path, lock = _made(place)
        finalize(self, _remove, self.path, lock)


def _made(place: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # swept between the two lines
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return path, lock
        os.close(lock)  # swept before it was locked


def _sweep(place: Path) -> None:
    for path in place.glob(f"{PREFIX}*"):
        with suppress(OSError):  # held by a process that lives, of another user, or just gone
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
