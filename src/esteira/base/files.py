"""Atomic writes: after `kill -9` a file is either the old one or the new one, whole."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError, StorageUnwritable

if TYPE_CHECKING:
    from collections.abc import Iterator


_LOOK_S = 0.02  # between two tries to take a lock


class StillLocked(EsteiraError):
    """A lock that somebody else held for longer than one would wait."""

    def __init__(self, place: Path | str, seconds: float) -> None:
        super().__init__(f"{place} is still locked after {seconds:g} s; wait for its holder, or end it")
        self.place, self.seconds = str(place), seconds


@contextmanager
def writing(place: Path | str) -> Iterator[None]:
    """Turn the operating system's refusals into one error that says the mend. Raises: StorageUnwritable."""
    try:
        yield
    except OSError as refused:
        raise StorageUnwritable(str(place), refused.strerror or str(refused)) from refused


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` with `content` at once and durably: temp file, fsync, rename.

    Raises: StorageUnwritable.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def folder_atomic(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` when the block ends well, and vanishes when it does not.

    If `target` exists by then (another process was first) it is kept. Raises: StorageUnwritable.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".tmp-"))
    try:
        yield scratch
        with writing(target):
            _sync_tree(scratch)
            if not target.exists():
                scratch.replace(target)
            sync_folder(target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def locked(path: Path, patience_s: float | None = None) -> Iterator[None]:
    """Hold a lock file: one holder at a time, among threads and processes; a killed holder lets go.

    It is waited for as long as that takes, or as `patience_s` says.
    Raises: StorageUnwritable, StillLocked (the patience is over).
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(handle, path, patience_s)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path, patience_s: float | None) -> None:
    if patience_s is None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise StillLocked(path, patience_s) from None
            time.sleep(_LOOK_S)
        else:
            return


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
