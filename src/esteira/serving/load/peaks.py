"""How much memory a family of processes holds at most, looked at again and again from outside."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from esteira.serving.load.processes import usage

if TYPE_CHECKING:
    from types import TracebackType

LOOK_S = 0.1  # between two looks, which cost some milliseconds each


class PeakMemory:
    """The most memory of a process and its descendants while the block runs, shared memory once.

    What comes and goes between two looks is not seen; the last look is at the end of the block.

    >>> import os
    >>> with PeakMemory(os.getpid()) as peak:
    ...     pass
    >>> peak.memory_bytes is None or peak.memory_bytes > 1_000_000
    True
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)
        self.memory_bytes: int | None = None  # where the system does not say

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            is_over = self._over.is_set()
            found = usage(self._pid)
            if found is not None:
                self.memory_bytes = max(self.memory_bytes or 0, found.memory_bytes)
            if is_over:
                return
            self._over.wait(LOOK_S)
