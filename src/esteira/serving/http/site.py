"""The gateway as a web site: one request in, one response out, and every error in its protocol's shape.

`begin` reads a request; its model may be asked elsewhere; `finish` makes the response.
"""

from __future__ import annotations

from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.serving.access.guard import told_to
from esteira.serving.http.messages import NOWHERE, Pending, Request, Response, json_response
from esteira.serving.http.mlflow_errors import mlflow_error
from esteira.serving.http.routing import route_of, template_of
from esteira.serving.lanes import Refused
from esteira.serving.live.availability import NotLoaded
from esteira.serving.refusals import Refusals
from esteira.serving.telemetry.port import Exchange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.access.guard import Guard
    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Headers, Route
    from esteira.serving.telemetry.port import Observer
    from esteira.serving.work import Scored

_LONGEST = 1000  # characters of an error: it quotes what was sent
_SAMPLE = 15  # of calls that are done at once, one in sixteen teaches the model's cost


class Site:
    """Answers requests of every protocol; whatever happens, it answers."""

    def __init__(
        self, gateway: Gateway, guard: Guard, *, max_body_bytes: int, observers: Sequence[Observer] = ()
    ) -> None:
        self.gateway, self.max_body_bytes = gateway, max_body_bytes
        self._guard, self._observers = guard, observers
        self.refusals = Refusals()

    def handle(self, method: str, path: str, headers: Headers, body: bytes, *, query: str = "") -> Response:
        """The response to a request whose whole body was read, all on this thread."""
        return self.respond(Request(route_of(path), headers, body, method, path, query))

    def respond(self, request: Request) -> Response:
        """As `handle`, of a request that was made before."""
        try:
            begun = self.begin(request)
        except NotLoaded as absent:
            self.bring(absent.model)
            begun = self.begin(request, may_wait=False)
        return begun if isinstance(begun, Response) else self.complete(begun)

    def begin(self, request: Request, *, may_wait: bool = True) -> Response | Pending:
        """The response, or what a model must be asked for it.

        Raises: NotLoaded, and nothing else, when it may wait for a model that is not in memory: `bring` it.
        """
        request.started = request.started or perf_counter()
        route = request.route
        handler = route.handlers.get(request.method)
        if handler is None:
            return self._nothing_there(request)
        try:
            request.caller = self._guard.caller(route.need, route.about, request.headers)
            found = handler(self.gateway, request)
        except Exception as raised:
            if may_wait and isinstance(raised, NotLoaded):
                raise
            failure = told_to(request.caller, raised)
            response = self._of_error(route, failure)
            if request.tried is not None and response.status >= 500:
                self.gateway.failed(request.tried, response.status, failure)
            return self._answered(request, response)
        if isinstance(found, Pending):
            request.asked = found.asked
            return found
        return self._answered(request, found)

    def bring(self, model: str) -> None:
        """Bring a model into memory, if that can be; asking again says why it could not."""
        with suppress(EsteiraError):
            self.gateway.live.bring(model)

    def complete(self, pending: Pending) -> Response:
        """Ask the model on this thread, and answer."""
        work, loaded = pending.work, pending.asked.loaded
        try:
            scored = work.score(loaded)
        except Exception as raised:  # noqa: BLE001 - whatever a model raises, the server goes on
            return self.fail(pending, raised)
        loaded.calls += 1
        if not loaded.calls & _SAMPLE or work.rows > 1:
            loaded.cost.observe(work.rows, scored.seconds)
        return self.finish(pending, scored)

    def finish(self, pending: Pending, scored: Scored) -> Response:
        """The response to a request whose model has answered."""
        try:
            response = pending.reply(self.gateway.answer(pending.asked, pending.work, scored))
        except Exception as raised:  # noqa: BLE001 - whatever a reply raises, the server goes on
            return self.fail(pending, raised)
        return self._answered(pending.request, response)

    def fail(self, pending: Pending, raised: Exception) -> Response:
        """The response to a request whose model did not answer."""
        request, asked = pending.request, pending.asked
        response = self._of_error(request.route, raised)
        if isinstance(raised, Refused):  # for want of room or time: no version has been asked
            self.gateway.metrics.refused.add((asked.model, raised.why))
        else:
            self.gateway.failed(asked, response.status, raised)
        return self._answered(request, response)

    def _nothing_there(self, request: Request) -> Response:
        path, route = request.path[:200], request.route
        if route is NOWHERE:
            response = _error(route, 404, f"nothing at {path}; what is there: GET /v2")
        else:
            response = _error(route, 405, f"{path} takes {' or '.join(route.handlers)}")
            response.headers = (("allow", ", ".join(route.handlers)),)
        return self._answered(request, response)

    def too_large(self, request: Request) -> Response:
        """The response to a body that is over the limit and was not read."""
        mend = f"send at most {self.max_body_bytes} bytes, in several requests"
        return self.refused(request, 413, f"the body is too large; {mend}")

    def refused(self, request: Request, status: int, reason: str) -> Response:
        """The response to a request whose body was not read."""
        request.started = perf_counter()
        response = _error(request.route, status, reason)
        if status == 503:
            self.gateway.metrics.refused.add(("", "overload"))
            response.headers = (("retry-after", "1"),)
        return self._answered(request, response)

    def _of_error(self, route: Route, raised: Exception) -> Response:
        status, message = self.refusals.of(raised)
        response = _error(route, status, message, raised)
        response.headers = getattr(raised, "headers", ())
        return response

    def _answered(self, request: Request, response: Response) -> Response:
        """Count the answer, and tell whoever watches."""
        asked, protocol = request.asked, request.route.protocol
        if asked is None:  # names that come from outside are no labels: there is no end to them
            self.gateway.metrics.requests.add(("", "", "", protocol, str(response.status)))
        else:
            seconds = perf_counter() - request.started
            self.gateway.counts(asked).answered(asked.arm, protocol, response.status, seconds)
        if self._observers:
            exchange = self._exchange(request, response)
            for each in self._observers:
                each.answered(exchange)
        return response

    def _exchange(self, request: Request, response: Response) -> Exchange:
        seconds, answer = perf_counter() - request.started, response.answer
        exchange = Exchange(
            request.method,
            template_of(request.path, request.route),
            request.route.protocol,
            response.status,
            self.gateway.clock.micros() - round(seconds * 1e6),
            seconds,
            bytes_in=len(request.body),
            bytes_out=len(response.body),
            caller=request.caller.name,
            traceparent=request.headers.get("traceparent") or "",
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
