"""The gateway as a web site: one request in, one response out, and every error in its protocol's shape."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.serving.arms import FeaturesUnreadable
from esteira.serving.gateway import ModelUnavailable
from esteira.serving.http.messages import Request, Response, json_response
from esteira.serving.http.routing import Route, resolve

if TYPE_CHECKING:
    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Headers

log = logging.getLogger(__name__)

_LONGEST = 1000  # characters of an error: it quotes what was sent
_NOWHERE = Route("oip", {})
_MLFLOW_CODES = {404: "RESOURCE_DOES_NOT_EXIST", 500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE"}


class Site:
    """Answers requests of every protocol; it never raises."""

    def __init__(self, gateway: Gateway, *, max_body_bytes: int) -> None:
        self.gateway, self.max_body_bytes = gateway, max_body_bytes
        self._said = ""

    def handle(self, method: str, path: str, headers: Headers, body: bytes, *, query: str = "") -> Response:
        """The response to a request whose whole body was read."""
        started = perf_counter()
        route = resolve(path)
        if route is None:
            response = _error(_NOWHERE, 404, f"nothing at {path[:200]}; what is there: GET /v2")
        elif (handler := route.handlers.get(method)) is None:
            response = _error(route, 405, f"{path[:200]} takes {' or '.join(route.handlers)}")
            response.headers = (("allow", ", ".join(route.handlers)),)
        else:
            try:
                names = route.model, route.version, route.view
                request = Request(headers, body, *names, query, route.table)
                response = handler(self.gateway, request)
            except Exception as raised:  # noqa: BLE001 - a door: nothing passes it but a response
                response = self._of_error(route, raised)
        self._count(route or _NOWHERE, response, perf_counter() - started)
        return response

    def waits(self, path: str) -> bool:
        """Whether what answers on a path waits for the disk: it must not hold up the others."""
        return (resolve(path) or _NOWHERE).waits

    def too_large(self, path: str) -> Response:
        """The response to a body that is over the limit and was not read."""
        route = resolve(path) or _NOWHERE
        mend = f"send at most {self.max_body_bytes} bytes, in several requests"
        response = _error(route, 413, f"the body is too large; {mend}")
        self._count(route, response, 0.0)
        return response

    def _of_error(self, route: Route, raised: Exception) -> Response:
        if isinstance(raised, BadInput):
            return _error(route, 404 if isinstance(raised, NotFound) else 400, str(raised))
        if isinstance(raised, ModelUnavailable | FeaturesUnreadable):
            return _error(route, 503, str(raised))
        if isinstance(raised, EsteiraError):  # its message may name places that are nobody's business
            self._say(str(raised))
            return _error(route, 503, "a store that the gateway needs does not answer; its log says why")
        log.error("request failed", exc_info=raised)
        return _error(route, 500, "internal error; the gateway's log says why")

    def _say(self, reason: str) -> None:
        if reason != self._said:  # once, not with every request
            self._said = reason
            log.error("requests cannot be answered", extra={"reason": reason})

    def _count(self, route: Route, response: Response, seconds: float) -> None:
        metrics, answer, code = self.gateway.metrics, response.answer, str(response.status)
        if answer is None:  # names that come from outside are no labels: there is no end to them
            metrics.requests.add(("", "", "", route.protocol, code))
        else:
            metrics.requests.add((answer.model, answer.version, answer.arm, route.protocol, code))
            metrics.request_seconds.observe((answer.model, route.protocol), seconds)


def _error(route: Route, status: int, message: str) -> Response:
    message = message[:_LONGEST]
    if route.protocol == "mlflow":
        code = _MLFLOW_CODES.get(status, "BAD_REQUEST")
        return json_response(status, {"error_code": code, "message": message})
    return json_response(status, {"error": message})
