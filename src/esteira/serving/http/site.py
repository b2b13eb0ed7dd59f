"""The gateway as a web site: one request in, one response out, and every error in its protocol's shape.

`begin` reads a request; its model may be asked elsewhere; `finish` makes the response.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.serving.access.guard import told_to
from esteira.serving.access.roles import ANYBODY, Caller
from esteira.serving.http.messages import Pending, Request, Response, json_response
from esteira.serving.http.mlflow_errors import mlflow_error
from esteira.serving.http.routing import Route, resolve, template_of
from esteira.serving.lanes import Refused
from esteira.serving.live.availability import NotLoaded
from esteira.serving.telemetry.port import Exchange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.access.guard import Guard
    from esteira.serving.gateway import Asked, Gateway
    from esteira.serving.http.messages import Headers
    from esteira.serving.telemetry.port import Observer
    from esteira.serving.work import Scored

log = logging.getLogger(__name__)

_LONGEST = 1000  # characters of an error: it quotes what was sent
_NOWHERE = Route("oip", {})
_SAMPLE = 15  # of calls that are done at once, one in sixteen teaches the model's cost


class Call(msgspec.Struct, gc=False):
    """A request as it is counted and told of."""

    method: str
    path: str
    route: Route
    headers: Headers
    size: int  # bytes of its body
    started: float  # perf_counter seconds
    caller: Caller = ANYBODY
    asked: Asked | None = None  # once a model was found


class Begun(msgspec.Struct, gc=False):
    """A request that was read, and what its model is to be asked."""

    call: Call
    pending: Pending


class Site:
    """Answers requests of every protocol; whatever happens, it answers."""

    def __init__(
        self, gateway: Gateway, guard: Guard, *, max_body_bytes: int, observers: Sequence[Observer] = ()
    ) -> None:
        self.gateway, self.max_body_bytes = gateway, max_body_bytes
        self._guard, self._observers = guard, observers
        self._said = ""

    def handle(self, method: str, path: str, headers: Headers, body: bytes, *, query: str = "") -> Response:
        """The response to a request whose whole body was read, all on this thread."""
        try:
            begun = self.begin(method, path, headers, body, query=query)
        except NotLoaded as absent:
            self.bring(absent.model)
            begun = self.begin(method, path, headers, body, query=query, may_wait=False)
        return begun if isinstance(begun, Response) else self.complete(begun)

    def begin(
        self, method: str, path: str, headers: Headers, body: bytes, query: str = "", *, may_wait: bool = True
    ) -> Response | Begun:
        """The response, or what a model must be asked for it.

        Raises: NotLoaded, and nothing else, when it may wait for a model that is not in memory: `bring` it.
        """
        route = resolve(path) or _NOWHERE
        call = Call(method, path, route, headers, len(body), perf_counter())
        handler = route.handlers.get(method)
        if handler is None:
            return self._nothing_there(call)
        try:
            call.caller = self._guard.caller(route.need, route.about, headers)
            request = Request(
                headers, body, route.model, route.version, route.view, query, route.table, call.caller
            )
            found = handler(self.gateway, request)
        except Exception as raised:
            if may_wait and isinstance(raised, NotLoaded):
                raise
            return self._answered(call, self._of_error(route, told_to(call.caller, raised)))
        if isinstance(found, Pending):
            call.asked = found.asked
            return Begun(call, found)
        return self._answered(call, found)

    def bring(self, model: str) -> None:
        """Bring a model into memory, if that can be; asking again says why it could not."""
        with suppress(EsteiraError):
            self.gateway.live.bring(model)

    def complete(self, begun: Begun) -> Response:
        """Ask the model on this thread, and answer."""
        work, loaded = begun.pending.work, begun.pending.asked.loaded
        try:
            scored = work.score(loaded)
        except Exception as raised:  # noqa: BLE001 - as above
            return self.fail(begun, raised)
        loaded.calls += 1
        if work.rows > 1 or not loaded.calls & _SAMPLE:
            loaded.cost.observe(work.rows, scored.seconds)
        return self.finish(begun, scored)

    def finish(self, begun: Begun, scored: Scored) -> Response:
        """The response to a request whose model has answered."""
        pending = begun.pending
        try:
            response = pending.reply(self.gateway.answer(pending.asked, pending.work, scored))
        except Exception as raised:  # noqa: BLE001 - as above
            return self.fail(begun, raised)
        return self._answered(begun.call, response)

    def fail(self, begun: Begun, raised: Exception) -> Response:
        """The response to a request whose model did not answer."""
        if isinstance(raised, Refused):
            self.gateway.metrics.refused.add((begun.pending.asked.model, raised.why))
        return self._answered(begun.call, self._of_error(begun.call.route, raised))

    def _nothing_there(self, call: Call) -> Response:
        path, handlers = call.path[:200], call.route.handlers
        if call.route is _NOWHERE:
            response = _error(call.route, 404, f"nothing at {path}; what is there: GET /v2")
        else:
            response = _error(call.route, 405, f"{path} takes {' or '.join(handlers)}")
            response.headers = (("allow", ", ".join(handlers)),)
        return self._answered(call, response)

    def waits(self, path: str) -> bool:
        """Whether what answers on a path waits for the disk: it must not hold up the others."""
        return (resolve(path) or _NOWHERE).waits

    def too_large(self, method: str, path: str, headers: Headers) -> Response:
        """The response to a body that is over the limit and was not read."""
        mend = f"send at most {self.max_body_bytes} bytes, in several requests"
        return self.refused(method, path, headers, 413, f"the body is too large; {mend}")

    def refused(self, method: str, path: str, headers: Headers, status: int, reason: str) -> Response:
        """The response to a request whose body was not read."""
        call = Call(method, path, resolve(path) or _NOWHERE, headers, 0, perf_counter())
        response = _error(call.route, status, reason)
        if status == 503:
            self.gateway.metrics.refused.add(("", "overload"))
            response.headers = (("retry-after", "1"),)
        return self._answered(call, response)

    def _of_error(self, route: Route, raised: Exception) -> Response:
        if isinstance(raised, BadInput):
            status = getattr(raised, "status", 404 if isinstance(raised, NotFound) else 400)
        elif isinstance(raised, EsteiraError):
            status = getattr(raised, "status", 0)
        else:
            log.error("request failed", exc_info=raised)
            return _error(route, 500, "internal error; the gateway's log says why")
        if not status:  # its message may name places that are nobody's business
            self._say(str(raised))
            return _error(route, 503, "a store that the gateway needs does not answer; its log says why")
        response = _error(route, status, str(raised), raised)
        response.headers = getattr(raised, "headers", ())
        return response

    def _say(self, reason: str) -> None:
        if reason != self._said:  # once, not with every request
            self._said = reason
            log.error("requests cannot be answered", extra={"reason": reason})

    def _answered(self, call: Call, response: Response) -> Response:
        """Count the answer, and tell whoever watches."""
        metrics, asked, protocol = self.gateway.metrics, call.asked, call.route.protocol
        if asked is None:  # names that come from outside are no labels: there is no end to them
            metrics.requests.add(("", "", "", protocol, str(response.status)))
        else:
            who = asked.model, asked.loaded.version, asked.arm, protocol, str(response.status)
            metrics.requests.add(who)
            metrics.request_seconds.observe((asked.model, protocol), perf_counter() - call.started)
        if self._observers:
            exchange = self._exchange(call, response)
            for each in self._observers:
                each.answered(exchange)
        return response

    def _exchange(self, call: Call, response: Response) -> Exchange:
        seconds, answer = perf_counter() - call.started, response.answer
        exchange = Exchange(
            call.method,
            template_of(call.path, call.route),
            call.route.protocol,
            response.status,
            self.gateway.clock.micros() - round(seconds * 1e6),
            seconds,
            bytes_in=call.size,
            bytes_out=len(response.body),
            caller=call.caller.name,
            traceparent=call.headers.get("traceparent") or "",
        )
        if answer is not None:
            exchange.model, exchange.version, exchange.arm = answer.model, answer.version, answer.arm
            exchange.predict_seconds, exchange.rows = answer.seconds, len(answer.scores)
        return exchange


def _error(route: Route, status: int, message: str, raised: Exception | None = None) -> Response:
    message = message[:_LONGEST]
    if route.protocol == "mlflow":
        return json_response(status, mlflow_error(status, message, raised))
    return json_response(status, {"error": message})
