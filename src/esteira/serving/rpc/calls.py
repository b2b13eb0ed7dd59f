"""One call after the other, from bytes to bytes or to a refusal, on the thread of an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.serving.access.guard import told_to
from esteira.serving.coming import Coming
from esteira.serving.lanes import Refused
from esteira.serving.live.availability import NotLoaded
from esteira.serving.refusals import Refusals
from esteira.serving.rpc.messages import INFERENCE
from esteira.serving.rpc.service import METHODS
from esteira.serving.telemetry.port import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esteira.serving.lanes import Lanes
    from esteira.serving.rpc.inference import Pending
    from esteira.serving.rpc.service import Call, InferenceService
    from esteira.serving.telemetry.port import Observer
    from esteira.serving.work import Scored

PROTOCOL = "grpc"  # the label of metrics; their code is the name of the status
_SAMPLE = 15  # of inferences that are done at once, one in sixteen teaches the model's cost
_OF_HTTP = {  # the status of an error of ours → the same for gRPC
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class DeadlineOver(EsteiraError):
    """A call that waited for what took longer than its caller had."""

    status = 504

    def __init__(self, what: str) -> None:
        super().__init__(f"the deadline was over before {what}; that goes on, so ask again, with more time")
        self.what = what


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call has no answer, as gRPC names it and as HTTP numbers it, and what its caller may know."""

    status: str
    message: str
    code: int


class Calls:
    """Answers the calls of a service; it never raises.

    `deadline_s` is how long a call may wait for its model, unless its own deadline is earlier; `closing` is
    called after the last one.
    """

    def __init__(
        self,
        service: InferenceService,
        lanes: Lanes,
        *,
        deadline_s: float,
        observers: Sequence[Observer] = (),
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self.service, self._lanes, self._deadline_s = service, lanes, deadline_s
        self._observers, self._closing = observers, closing
        self.is_ending = False  # then what is in flight is answered, and further calls are refused
        self.turned_away = 0  # calls that were refused for that
        self._beside = ThreadPoolExecutor(1, "beside")  # changes of what serves, one after the other
        self._refusals, self._inline = Refusals(), 0
        self._coming = Coming(service.gateway.live, self._refusals)

    async def answer(self, call: Call, content: bytes, left_s: float | None) -> bytes | Refusal:
        """The response to a call whose caller waits `left_s` more; one that waits no more is not begun."""
        started = perf_counter()
        response: bytes | Refusal
        if self.is_ending:
            self.turned_away += 1
            response = Refusal("UNAVAILABLE", "the server is ending; call another one", 503)
        elif left_s is not None and left_s <= 0:
            response = Refusal("DEADLINE_EXCEEDED", "the deadline was over before the call was begun", 504)
        else:
            try:
                response = await self._answer(call, content, left_s)
            except Exception as raised:  # noqa: BLE001 - a door: nothing passes it but a response
                response = self._fail(call, told_to(call.caller, raised))
        seconds = perf_counter() - started
        self._count(call, response.status if isinstance(response, Refusal) else "OK", seconds)
        if self._observers:
            self._tell(call, content, response, seconds)
        mirror = self.service.gateway.mirror
        if mirror.plans and call.tried is not None and call.answer is not None:
            mirror.take(call.tried, PROTOCOL, call.headers, content)
        return response

    def close(self) -> None:
        """Let go of what nobody waits for any more, and make durable what was answered."""
        self._beside.shutdown(wait=False, cancel_futures=True)
        self._coming.close()
        self.service.gateway.close()
        self._closing()
        for observer in self._observers:
            observer.close()

    def _fail(self, call: Call, raised: Exception) -> Refusal:
        """The refusal of a call; that the version which was to answer did not is logged."""
        refusal = self.refusal(raised)
        is_its_own = not isinstance(raised, Refused | DeadlineOver)  # they come before a version is asked
        if call.tried is not None and is_its_own and (call.is_read or refusal.code >= 500):
            self.service.gateway.failed(call.tried, refusal.code, raised)
        return refusal

    def refusal(self, raised: Exception) -> Refusal:
        """The refusal that an error is."""
        code, message = self._refusals.of(raised)
        return Refusal(_OF_HTTP.get(code, "UNKNOWN"), message, code)

    async def _answer(self, call: Call, content: bytes, left_s: float | None) -> bytes:
        service, loop = self.service, asyncio.get_running_loop()
        until = None if left_s is None else loop.time() + left_s
        if METHODS[call.method].waits:
            change = loop.run_in_executor(self._beside, service.handle, call, content)
            found = await self._in_time(change, left_s)
        else:
            try:
                found = service.handle(call, content)
            except NotLoaded as absent:
                if not await self._coming.wait(absent.model, left_s):
                    raise DeadlineOver("the model was in memory") from absent
                found = service.handle(call, content)
        if isinstance(found, bytes):
            return found
        call.is_read = True
        left_s = None if until is None else until - loop.time()
        if left_s is not None and left_s <= 0:
            raise DeadlineOver("the model was asked")
        scored = await self._score(found, left_s)
        call.answer = service.gateway.answer(found.asked, found.work, scored)
        return found.reply(call.answer)

    async def _in_time(
        self, change: asyncio.Future[Pending | bytes], left_s: float | None
    ) -> Pending | bytes:
        """What a change gives, if it ends in time; it goes on in any case. Raises: DeadlineOver."""
        try:
            await asyncio.wait({change}, timeout=left_s)
        finally:
            if not change.done():  # in time, or its caller has gone
                change.add_done_callback(self._note)
        if not change.done():
            raise DeadlineOver("the change was in force")
        return change.result()

    def _note(self, change: asyncio.Future[Pending | bytes]) -> None:
        """Log what nobody waits to hear."""
        failure = None if change.cancelled() else change.exception()
        if isinstance(failure, Exception):
            self._refusals.of(failure)

    async def _score(self, pending: Pending, left_s: float | None) -> Scored:
        loaded, work = pending.asked.loaded, pending.work
        if self._lanes.is_heavy(loaded, work):
            deadline_s = self._deadline_s if left_s is None else min(left_s, self._deadline_s)
            try:
                return await self._lanes.score(pending.asked, work, deadline_s)
            except Refused as refused:
                self.service.gateway.metrics.refused.add((pending.asked.model, refused.why))
                raise
        scored = work.score(loaded)
        self._inline += 1
        if not self._inline & _SAMPLE:
            loaded.cost.observe(work.rows, scored.seconds)
        return scored

    def _tell(self, call: Call, content: bytes, response: bytes | Refusal, seconds: float) -> None:
        answer = call.answer
        code, size = (response.code, 0) if isinstance(response, Refusal) else (200, len(response))
        exchange = Exchange(
            "POST",
            f"/{INFERENCE}/{call.method}",
            PROTOCOL,
            code,
            self.service.gateway.clock.micros() - round(seconds * 1e6),
            seconds,
            bytes_in=len(content),
            bytes_out=size,
            caller=call.caller.name,
            traceparent=call.headers.get("traceparent") or "",
        )
        if answer is not None:
            exchange.model, exchange.version, exchange.arm = answer.model, answer.version, answer.arm
            exchange.predict_seconds, exchange.rows = answer.seconds, len(answer.scores)
        for observer in self._observers:
            observer.answered(exchange)

    def _count(self, call: Call, status: str, seconds: float) -> None:
        metrics, answer = self.service.gateway.metrics, call.answer
        if answer is None:  # names that come from outside are no labels: there is no end to them
            metrics.requests.add(("", "", "", PROTOCOL, status))
        else:
            metrics.requests.add((answer.model, answer.version, answer.arm, PROTOCOL, status))
            metrics.request_seconds.observe((answer.model, PROTOCOL), seconds)
