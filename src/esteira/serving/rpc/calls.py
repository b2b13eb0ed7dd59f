"""One call after the other, from bytes to bytes or to a refusal, on the thread of an event loop."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.serving.access.guard import told_to
from esteira.serving.lanes import Refused
from esteira.serving.live.availability import NotLoaded
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

log = logging.getLogger(__name__)

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
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


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
        self._beside = ThreadPoolExecutor(1, "beside")  # what waits for the disk, one after the other
        self._said, self._inline = "", 0

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
                response = self.refusal(told_to(call.caller, raised))
        seconds = perf_counter() - started
        self._count(call, response.status if isinstance(response, Refusal) else "OK", seconds)
        if self._observers:
            self._tell(call, content, response, seconds)
        return response

    def close(self) -> None:
        """Let go of what nobody waits for any more, and make durable what was answered."""
        self._beside.shutdown(wait=False, cancel_futures=True)
        self.service.gateway.close()
        self._closing()
        for observer in self._observers:
            observer.close()

    def refusal(self, raised: Exception) -> Refusal:
        """The refusal that an error is."""
        if isinstance(raised, BadInput):
            status = getattr(raised, "status", 404 if isinstance(raised, NotFound) else 400)
        elif isinstance(raised, EsteiraError):
            status = getattr(raised, "status", 0)
        else:
            log.error("call failed", exc_info=raised)
            return Refusal("INTERNAL", "internal error; the gateway's log says why", 500)
        if not status:  # its message may name places that are nobody's business
            self._say(str(raised))
            reason = "a store that the gateway needs does not answer; its log says why"
            return Refusal("UNAVAILABLE", reason, 503)
        return Refusal(_OF_HTTP.get(status, "UNKNOWN"), str(raised), status)

    async def _answer(self, call: Call, content: bytes, left_s: float | None) -> bytes:
        service, loop = self.service, asyncio.get_running_loop()
        if METHODS[call.method].waits:
            found = await loop.run_in_executor(self._beside, service.handle, call, content)
        else:
            try:
                found = service.handle(call, content)
            except NotLoaded as absent:
                await loop.run_in_executor(self._beside, service.gateway.live.bring, absent.model)
                found = service.handle(call, content)
        if isinstance(found, bytes):
            return found
        scored = await self._score(found, left_s)
        call.answer = service.gateway.answer(found.asked, found.work, scored)
        return found.reply(call.answer)

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

    def _say(self, reason: str) -> None:
        if reason != self._said:  # once, not with every call
            self._said = reason
            log.error("calls cannot be answered", extra={"reason": reason})

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
