"""Whose turn it is: of all workers of a gateway one speaks for all, and when it dies another does."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

from esteira.base.files import write_atomic, writing

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path


class Turn:
    """A lock in the folder that the workers share, and what its holder leaves to the next.

    Without a folder there is one worker, and it is always its turn. Raises: StorageUnwritable.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._is_held = folder, folder is None
        self._lock: FileIO | None = None
        self._kept: dict[str, bytes] = {}
        if folder is not None:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                self._lock = (folder / "turn.lock").open("ab", buffering=0)

    def is_mine(self) -> bool:
        """Whether this worker speaks; once it does, it does until it ends."""
        if not self._is_held and self._lock is not None and not self._lock.closed:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._is_held = True
            except BlockingIOError:
                return False
        return self._is_held

    def keep(self, name: str, content: bytes) -> None:
        """Leave a state to whoever speaks next. Raises: StorageUnwritable."""
        if self._folder is None:
            self._kept[name] = content
        else:
            write_atomic(self._folder / f"{name}.state", content)

    def kept(self, name: str) -> bytes | None:
        """What the last holder left."""
        if self._folder is None:
            return self._kept.get(name)
        try:
            return (self._folder / f"{name}.state").read_bytes()
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Let another worker speak."""
        if self._lock is not None:
            self._is_held = False
            self._lock.close()
