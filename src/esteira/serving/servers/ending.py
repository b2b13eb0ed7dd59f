"""What SIGTERM does to a server: at once it says that it ends, after a while it does."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Ending:
    """SIGTERM of the first process; a second one ends the wait.

    `stop` runs on a thread of its own: a signal may come while the main thread holds the very lock that
    stopping needs.
    """

    def __init__(self, begin: Callable[[], None], stop: Callable[[], Any], drain_s: float) -> None:
        self._begin, self._stop, self._drain_s = begin, stop, drain_s
        self._process = os.getpid()
        self._is_over = threading.Event()
        self._is_begun = False

    def install(self) -> None:
        """Take SIGTERM over. Only in the main thread."""
        signal.signal(signal.SIGTERM, self._asked)

    def _asked(self, *_: object) -> None:
        if os.getpid() != self._process:  # a worker just after its fork: nothing is lost yet
            os._exit(0)
        if self._is_begun:
            threading.Thread(target=self._is_over.set, daemon=True).start()
            return
        self._is_begun = True
        self._begin()
        threading.Thread(target=self._wait, name="ending", daemon=True).start()

    def _wait(self) -> None:
        self._is_over.wait(self._drain_s)
        self._stop()
