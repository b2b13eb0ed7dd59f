"""Whether a gateway is ending: one byte that its processes share, so that asking is reading memory."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from esteira.base.files import writing

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "draining"


class Draining:
    """Set once by the gateway's first process, seen at once by every worker; without a folder, never set.

    Raises: StorageUnwritable.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._byte: mmap.mmap | bytearray = bytearray(1)
        if folder is None:
            return
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / _FILE).open("ab") as made:
                if made.tell() == 0:
                    made.write(b"\0")
            with (folder / _FILE).open("r+b") as file:
                self._byte = mmap.mmap(file.fileno(), 1)

    def begin(self) -> None:
        """Say that the gateway is ending. Safe in a signal handler: it stores one byte."""
        self._byte[0] = 1

    def is_draining(self) -> bool:
        """Whether no new work should come: readiness says no, and answers close their connections."""
        return self._byte[0] != 0


def is_draining(folder: Path) -> bool:
    """Whether the gateway of a folder is ending, for whoever stands outside; it changes nothing there."""
    try:
        return (folder / _FILE).read_bytes()[:1] not in {b"", b"\0"}
    except FileNotFoundError:
        return False
