"""Models on their way into memory, and who waits for them on an event loop: one load for all who ask."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from esteira.serving.live.availability import NotLoaded

if TYPE_CHECKING:
    from esteira.serving.refusals import Refusals

TOGETHER = 4  # models that come into memory at once
MOST_WAITING = 256  # requests that wait for one


class Bringer(Protocol):
    """Loads a model, and comes back when it is in memory or cannot be."""

    def bring(self, name: str) -> object: ...


class Coming:
    """Lets requests wait for models without a thread for each. It belongs to the thread of an event loop.

    What a load fails with, whoever asks again is told by the routes; `refusals` log what nobody may be told.
    """

    def __init__(self, live: Bringer, refusals: Refusals) -> None:
        self._live, self._refusals = live, refusals
        self._threads = ThreadPoolExecutor(TOGETHER, "bringing")
        self._loads: dict[str, asyncio.Future[object]] = {}
        self._waiting: Counter[str] = Counter()

    async def wait(self, model: str, left_s: float | None = None) -> bool:
        """Whether a model came, or failed to, before `left_s` were over; it goes on coming in any case.

        Raises: NotLoaded (so many wait for it that another may not).
        """
        if self._waiting[model] >= MOST_WAITING:
            raise NotLoaded(model)
        load = self._loads.get(model) or self._begin(model)
        self._waiting[model] += 1
        try:
            await asyncio.wait({load}, timeout=left_s)
        finally:
            self._waiting -= Counter((model,))  # which drops whom nobody waits for
        return load.done()

    def close(self) -> None:
        """Begin no further load."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, model: str) -> asyncio.Future[object]:
        load = asyncio.get_running_loop().run_in_executor(self._threads, self._live.bring, model)
        self._loads[model] = load
        load.add_done_callback(lambda ended: self._end(model, ended))
        return load

    def _end(self, model: str, load: asyncio.Future[object]) -> None:
        del self._loads[model]
        failure = None if load.cancelled() else load.exception()
        if isinstance(failure, Exception):
            self._refusals.of(failure)
