"""The waiting lines of heavy models: a request waits only while its model is busy, and then in company.

A lane starts what comes when it is idle: nobody waits for others to come. What came while it was busy goes in
one call, as long as joining pays; a model whose cost is all in its rows gets one request after the other.
Whoever would wait beyond its deadline, or find the line full, is refused at once; whoever does wait until its
deadline, then. When a call of several fails, each of them is asked again alone, before those that came later.
Lanes belong to the thread of an event loop; only the models' calls leave it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from esteira.base.errors import EsteiraError
from esteira.serving.work import score_together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from esteira.serving.costs import Cost
    from esteira.serving.gateway import Asked
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.telemetry.metrics import Metrics
    from esteira.serving.work import Scored, Work

INLINE_S = 0.0005  # a call that costs less is done at once: handing it over would cost as much
MOST_ROWS = 1_024  # in one joined call
_PAYS = 0.1  # the least share of a call that joining another row must save
_PROBE = 64  # every so many calls join a few all the same: else nobody would see that it pays by now
_PROBE_ROWS = 8


class Refused(EsteiraError):
    """A request that is not taken in, so that those that were are answered in time."""

    def __init__(self, status: int, reason: str, retry_after_s: int, why: str) -> None:
        super().__init__(f"{reason}; come back after {retry_after_s} s, or ask another gateway")
        self.status, self.retry_after_s, self.why = status, retry_after_s, why
        self.headers = (("retry-after", str(retry_after_s)),)


@dataclass(slots=True, eq=False)
class _Waiting:
    loaded: LoadedArm
    work: Work
    done: asyncio.Future[Scored]
    until: float  # monotonic seconds: its deadline
    is_alone: bool = False  # it was in a call of several that failed
    alarm: asyncio.TimerHandle = field(init=False)  # while it waits


class Lane:
    """The line of one version; it holds the version only while somebody waits for it."""

    def __init__(self, model: str, cost: Cost, metrics: Metrics, threads: Executor, parallel: int) -> None:
        self._labels, self._cost, self._metrics = (model,), cost, metrics
        self._threads, self._parallel = threads, parallel
        self._waiting: deque[_Waiting] = deque()
        self._running = self._calls = 0
        self._waiting_rows = self._running_rows = self._shown_rows = 0

    @property
    def length(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether a call runs."""
        return self._running > 0

    def wait_s(self) -> float:
        """The seconds that one more request would wait before its model is asked, as far as is known."""
        if self._running < self._parallel:
            return 0.0
        cost = self._cost
        calls = 1 if self._pays() else max(len(self._waiting) + self._running, 1)
        rows = self._waiting_rows + self._running_rows
        return (cost.fixed * calls + cost.per_row * rows) / self._parallel

    def put(self, loaded: LoadedArm, work: Work, until: float) -> asyncio.Future[Scored]:
        """Take work in; the future gives what was scored."""
        waiting = _Waiting(loaded, work, asyncio.get_running_loop().create_future(), until)
        self._waiting.append(waiting)
        self._set_alarm(waiting)
        self._start()
        self._show()
        return waiting.done

    def _pays(self) -> bool:
        # Until the cost is known calls of several sizes are made, which tell it.
        return not self._cost.is_fitted or self._cost.gain > _PAYS

    def _start(self) -> None:
        while self._waiting and self._running < self._parallel:
            together = self._take()
            if together:
                self._call(together)

    def _call(self, together: Sequence[_Waiting]) -> None:
        loaded, works = together[0].loaded, [each.work for each in together]
        try:
            call = asyncio.get_running_loop().run_in_executor(self._threads, _ask, loaded, works)
        except RuntimeError as ended:  # the threads have
            self._fail(together, ended)
            return
        rows = _rows_of(together)
        self._running += 1
        self._running_rows += rows
        call.add_done_callback(partial(self._finish, together))
        self._metrics.batch_rows.observe(self._labels, rows)

    def _take(self) -> list[_Waiting]:
        """The next call: the first that is still wanted, and what may go with it."""
        self._calls += 1
        most = MOST_ROWS if self._pays() else _PROBE_ROWS if self._calls % _PROBE == 0 else 0
        together: list[_Waiting] = []
        rows, now = 0, monotonic()
        while self._waiting:
            first = self._waiting[0]
            if first.done.done() or first.until < now:
                _refuse(self._next())
            elif not together or (rows + first.work.rows <= most and _may_join(together[0], first)):
                together.append(self._next())
                rows += first.work.rows
            else:
                break
        return together

    def _next(self) -> _Waiting:
        first = self._waiting.popleft()
        self._waiting_rows -= first.work.rows
        first.alarm.cancel()
        return first

    def _set_alarm(self, waiting: _Waiting) -> None:
        left_s = max(waiting.until - monotonic(), 0.0)  # the loop may have a clock of its own
        waiting.alarm = asyncio.get_running_loop().call_later(left_s, self._end_wait, waiting)
        self._waiting_rows += waiting.work.rows

    def _end_wait(self, late: _Waiting) -> None:
        late.alarm.cancel()  # else the two would hold each other, and the request
        self._waiting.remove(late)  # deadlines are much alike, so it is near the head
        self._waiting_rows -= late.work.rows
        _refuse(late)
        self._show()

    def _finish(self, together: Sequence[_Waiting], call: asyncio.Future[list[Scored]]) -> None:
        self._running -= 1
        self._running_rows -= _rows_of(together)
        failure = CancelledError() if call.cancelled() else call.exception()
        try:
            if failure is None:
                self._answer(together, call.result())
            else:
                self._fail(together, failure)
        finally:
            self._start()
            self._show()

    def _answer(self, together: Sequence[_Waiting], scored: Sequence[Scored]) -> None:
        for each, result in zip(together, scored, strict=True):
            if not each.done.done():
                each.done.set_result(result)
        self._cost.observe(_rows_of(together), sum(each.seconds for each in scored))

    def _fail(self, together: Sequence[_Waiting], failure: BaseException) -> None:
        if len(together) == 1:
            if not together[0].done.done():
                together[0].done.set_exception(failure)
            return
        now = monotonic()
        for each in reversed(together):  # one may be at fault: each alone, in the order in which they came
            if each.done.done() or each.until < now:
                _refuse(each)
            else:
                each.is_alone = True
                self._waiting.appendleft(each)
                self._set_alarm(each)

    def _show(self) -> None:
        # Lanes of other versions count into the same gauge.
        self._metrics.queue_depth.add(self._labels, self._waiting_rows - self._shown_rows)
        self._shown_rows = self._waiting_rows


def _ask(loaded: LoadedArm, works: Sequence[Work]) -> list[Scored]:
    try:
        return score_together(loaded, works)
    except StopIteration as ended:  # a future cannot hold it, so it would never be done
        raise TypeError("the model raised StopIteration") from ended


def _rows_of(together: Sequence[_Waiting]) -> int:
    return sum(each.work.rows for each in together)


def _may_join(one: _Waiting, other: _Waiting) -> bool:
    return not (one.is_alone or other.is_alone) and one.work.joins(other.work)


def _refuse(late: _Waiting) -> None:
    if not late.done.done():
        late.done.set_exception(Refused(503, "the request waited beyond its deadline", 1, "late"))


class Lanes:
    """The lanes of a worker, made when a version is first found to be heavy."""

    def __init__(self, threads: Executor, metrics: Metrics, *, parallel: int, most_waiting: int) -> None:
        self._threads, self._metrics = threads, metrics
        self._parallel, self._most_waiting = parallel, most_waiting
        self._lanes: WeakKeyDictionary[LoadedArm, Lane] = WeakKeyDictionary()

    @property
    def length(self) -> int:
        """Requests that wait or whose model is being asked, as far as calls are of one request."""
        return sum(lane.length + lane.is_busy for lane in self._lanes.values())

    def is_heavy(self, loaded: LoadedArm, work: Work) -> bool:
        """Whether scoring would hold up the other requests of the event loop.

        A model in a process of its own may hang, and so may one whose cost nobody knows yet.
        """
        return loaded.cost.of(work.rows) > INLINE_S or loaded.may_wait

    async def score(self, asked: Asked, work: Work, deadline_s: float) -> Scored:
        """Ask the model when its turn has come. Raises: Refused, and what the model raises."""
        loaded = asked.loaded
        lane = self._lanes.get(loaded)
        if lane is None:
            lane = Lane(asked.model, loaded.cost, self._metrics, self._threads, self._parallel)
            self._lanes[loaded] = lane
        if lane.length >= self._most_waiting:
            raise Refused(429, f"{lane.length} requests wait for this model", 1, "full")
        wait = lane.wait_s()
        if wait > deadline_s:
            after = max(math.ceil(wait - deadline_s), 1)
            reason = f"it would wait {wait:.3g} s, and its deadline is {deadline_s:.3g} s"
            raise Refused(503, reason, after, "late")
        return await lane.put(loaded, work, monotonic() + deadline_s)
