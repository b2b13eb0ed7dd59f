"""Calls with a deadline, on a thread of their own: whoever waits is told in time, late or not.

A thread of Python cannot be ended from outside. A call that is late goes on, and nobody waits for it; until
it has ended further calls of the same member are refused at once, so that a member that hangs costs one
thread and not more. Calls of one member wait for each other, within their deadlines.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import finalize

from esteira.serving.combining.failures import MemberBusy, MemberLate

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Call(Generic[T]):
    """One question that is on its way."""

    __slots__ = ("_deadline_ms", "_done", "_failed", "_made", "until", "work")

    def __init__(self, work: Callable[[], T], deadline_ms: float) -> None:
        self.work, self._deadline_ms = work, deadline_ms
        self.until = monotonic() + deadline_ms / 1000
        self._made: list[T] = []
        self._failed: Exception | None = None
        self._done = threading.Lock()  # held until it is done: the cheapest thing that one can wait for
        self._done.acquire()

    def run(self) -> None:
        """Do the work, on the thread, unless nobody waits any more."""
        try:
            if monotonic() < self.until:
                self._made.append(self.work())
        except Exception as failed:  # noqa: BLE001 - whoever waits must hear of it
            self._failed = failed
        finally:
            self._done.release()

    def result(self) -> T:
        """What the work gave; asked once. Raises: MemberLate, and what the work raised."""
        if not self._done.acquire(timeout=max(self.until - monotonic(), 0.0)):
            raise MemberLate(self._deadline_ms)
        if self._failed is not None:
            raise self._failed
        if not self._made:  # its turn came too late
            raise MemberLate(self._deadline_ms)
        return self._made[0]


class OwnThread:
    """The thread of one member: begun with the first call, gone with this object.

    >>> OwnThread(1000).start(lambda: 7).result()
    7
    """

    def __init__(self, deadline_ms: float) -> None:
        self._deadline_ms = deadline_ms
        self._line = _Line()
        self._starting = threading.Lock()
        finalize(self, self._line.calls.put, None)

    def start(self, work: Callable[[], T], deadline_ms: float | None = None) -> Call[T]:
        """Put a call in line; its deadline, another one if said, counts from now. Raises: MemberBusy."""
        line = self._line
        if line.thread is None or not line.thread.is_alive():  # the second in a process that was forked
            with self._starting:
                line.begin()
        running = line.running
        if running is not None and running.until < monotonic():
            raise MemberBusy
        call = Call(work, self._deadline_ms if deadline_ms is None else deadline_ms)
        line.calls.put(call)
        return call


class _Line:
    """What the thread and those who ask share; the thread does not hold the member."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self.running: Call[Any] | None = None
        self.thread: threading.Thread | None = None

    def begin(self) -> None:
        if self.thread is None or not self.thread.is_alive():
            self.running = None
            # A daemon: a call that hangs must not keep the process from ending.
            self.thread = threading.Thread(target=self._work, name="member", daemon=True)
            self.thread.start()

    def _work(self) -> None:
        while (call := self.calls.get()) is not None:
            self.running = call
            call.run()
            self.running = None
            del call  # else it would hold its rows until the next one comes
