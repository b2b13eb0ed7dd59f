"""Memory that models have left, given back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from functools import cache
from typing import TYPE_CHECKING
from weakref import finalize

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S = 1.0  # at most once in that time: a trim walks the whole heap
COLLECT_S = 10.0  # the same of the collector, for what refers to itself: types that a decoder made


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not


class Trimming:
    """Watches what is held by reference, and trims the heap some time after it is gone."""

    def __init__(self, every_s: float = EVERY_S, collect_s: float = COLLECT_S) -> None:
        self._every_s, self._collect_s = every_s, collect_s
        self._trimmed_at = self._collected_at = -collect_s
        self._is_due = self._is_to_collect = False

    def watch(self, held: object) -> None:
        """Trim when the last reference to `held` has gone."""
        finalize(held, self._gone).atexit = False

    def _gone(self) -> None:
        self._is_due = self._is_to_collect = True

    def tick(self) -> bool:
        """Trim if something has gone; whether it was done. Not for the thread that answers requests."""
        now = time.monotonic()
        if self._is_to_collect and now - self._collected_at >= self._collect_s:
            self._is_to_collect, self._collected_at = False, now
            gc.collect()  # what was there at the start is frozen, so it has little to look at
            self._is_due = True
        if not self._is_due or now - self._trimmed_at < self._every_s:
            return False
        self._is_due, self._trimmed_at = False, now
        trim = _malloc_trim()
        if trim is not None:
            trim(0)
        return True
