"""Waiting on many sockets at once, to the microsecond where the system can."""

from __future__ import annotations

import select
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = 1, 4  # POLLIN and POLLOUT, of poll and of epoll
_FINE_S = 0.01  # below this, milliseconds are too coarse a wait


class Poller:
    """Which of the registered sockets can be read or written: by epoll, else by poll."""

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        poll = self._epoll or select.poll()
        self.register, self.modify, self.unregister = poll.register, poll.modify, poll.unregister
        self._wait: Callable[[float], list[tuple[int, int]]] = poll.poll
        with suppress(OSError):  # else Linux rounds every sleep up by 50 µs
            Path("/proc/self/timerslack_ns").write_text("1")

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """(file descriptor, what it is ready for) of those that are ready, or none after `seconds`."""
        if self._epoll is None:
            return self._wait(seconds * 1000)
        if 0 < seconds < _FINE_S:  # epoll counts in milliseconds, select in microseconds
            if not select.select([self._epoll], [], [], seconds)[0]:
                return []
            seconds = 0.0
        return self._wait(seconds)
