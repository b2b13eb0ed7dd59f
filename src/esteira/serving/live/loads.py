"""Versions on their way into memory: a few at a time, on threads of their own, each with a limit of time.

A thread of Python cannot be ended from outside. So a load that is over its time is given up: whoever waits is
told, its place goes to the next, and its thread, which nobody waits for, goes on as long as the worker lives.
If it comes to an end after all, what it loaded is thrown away. Until then the same version is not begun
again, so that each hanging version holds one thread and not more with every try.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.routes import Arm

AT_ONCE = 2
_LOOK_S = 0.05


class LoadHangs(EsteiraError):
    """A load that has not ended in its time."""

    def __init__(self, version: int, seconds: float) -> None:
        super().__init__(
            f"loading version {version} has not ended after {seconds:.0f} s; deploy another version, or "
            "raise load_seconds under [gateway]; its thread ends with the worker"
        )
        self.version, self.seconds = version, seconds


class Load:
    """One version that is being loaded, for however many wait."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.loaded: LoadedArm | None = None
        self.failure: Exception | None = None
        self.began = 0.0  # time.monotonic() seconds; 0 while it waits for its turn
        self._ended = threading.Event()

    @property
    def is_done(self) -> bool:
        """Whether it was loaded, failed, or was given up."""
        return self._ended.is_set()

    def end(self, loaded: LoadedArm | None, failure: Exception | None = None) -> None:
        """Tell whoever waits; only the first word counts."""
        if not self._ended.is_set():
            self.loaded, self.failure = loaded, failure
            self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most that long."""
        return self._ended.wait(seconds)

    def result(self) -> LoadedArm:
        """What was loaded. Raises: what loading raised, LoadHangs."""
        if self.failure is not None:
            raise self.failure
        assert self.loaded is not None, "asked before it was done"
        return self.loaded


class Loads:
    """Loads versions with `load`; of one bundle there is one load at a time."""

    def __init__(self, load: Callable[[Arm], LoadedArm], limit_s: float, at_once: int = AT_ONCE) -> None:
        self._load, self._limit_s, self._free = load, limit_s, at_once
        self._lock = threading.Lock()
        self._queue: deque[Load] = deque()
        self._by_digest: dict[str, Load] = {}  # queued, running or hanging
        self._running: set[Load] = set()

    def start(self, arm: Arm, *, is_urgent: bool = False) -> Load:
        """Begin to load a version, or join in; what is urgent goes before what is not."""
        with self._lock:
            found = self._by_digest.get(arm.digest)
            if found is not None:
                return found
            load = self._by_digest[arm.digest] = Load(arm)
            (self._queue.appendleft if is_urgent else self._queue.append)(load)
            self._hire()
        return load

    def expire(self) -> None:
        """Give up what is over its time."""
        now = time.monotonic()
        with self._lock:
            for load in [each for each in self._running if now - each.began > self._limit_s]:
                load.end(None, LoadHangs(load.arm.version, now - load.began))
                self._running.discard(load)
                self._free += 1
                self._hire()

    def wait(self, load: Load) -> LoadedArm:
        """The version, when it is there. Raises: what loading raised, LoadHangs."""
        while not load.wait(_LOOK_S):
            self.expire()
        return load.result()

    def load(self, arm: Arm) -> LoadedArm:
        """Load a version and wait for it, its turn included, no longer than a load may take.

        Raises: what loading raised, LoadHangs.
        """
        load, until = self.start(arm), time.monotonic() + self._limit_s
        while not load.wait(_LOOK_S):
            self.expire()
            if time.monotonic() > until:
                raise LoadHangs(arm.version, self._limit_s)
        return load.result()

    def _hire(self) -> None:
        if self._free and self._queue:
            self._free -= 1
            threading.Thread(target=self._work, name="load", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._free += 1
                    return
                load = self._queue.popleft()
                load.began = time.monotonic()
                self._running.add(load)
            self._run(load)
            with self._lock:
                self._by_digest.pop(load.arm.digest, None)
                if load not in self._running:
                    return  # given up: another has this thread's place
                self._running.discard(load)

    def _run(self, load: Load) -> None:
        try:
            loaded = self._load(load.arm)
        except Exception as failure:  # noqa: BLE001 - whatever a bundle breaks, the gateway goes on
            load.end(None, failure)
        else:
            load.end(loaded)
