"""A request, on the route that answers it, and a response, free of any server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from esteira.serving.access.roles import ADMIN, ANYBODY, EVERY_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.serving.access.roles import Caller
    from esteira.serving.gateway import Answer, Asked, Gateway
    from esteira.serving.work import Work

    Handler = Callable[[Gateway, "Request"], "Response | Pending"]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_encode = msgspec.json.Encoder().encode


class Headers(Protocol):
    """The headers of a request; names are in lower case."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Route:
    """What answers on a path: a handler for each method, in a protocol.

    One that does not say whom it answers answers only administrators whose key is for every model.
    """

    protocol: str  # oip, mlflow, features, labels, push or metrics: how errors look, and a metric's label
    handlers: Mapping[str, Handler]
    need: str = ADMIN  # the role that a caller needs
    about: str = EVERY_MODEL  # the model that a caller's key must be for, or what stands for models
    model: str = ""
    version: str = ""
    view: str = ""
    table: str = ""
    waits: bool = False  # for the disk, before it answers


NOWHERE = Route("oip", {})  # that of a path to which nothing leads


class Request(msgspec.Struct, gc=False):
    """One request on the path of a route, with its whole body once that was read."""

    route: Route
    headers: Headers
    body: bytes = b""
    method: str = "POST"
    path: str = ""
    query: str = ""  # what follows the question mark
    started: float = 0.0  # perf_counter seconds: when its body was there
    caller: Caller = ANYBODY  # once that is known
    asked: Asked | None = None  # once a model was found and the request was read
    tried: Asked | None = None  # once a model was found

    @property
    def model(self) -> str:
        """The model that the path names."""
        return self.route.model

    @property
    def version(self) -> str:
        """The version that the path names."""
        return self.route.version

    @property
    def view(self) -> str:
        """The feature view that the path names."""
        return self.route.view

    @property
    def table(self) -> str:
        """The table that the path names."""
        return self.route.table


class Response(msgspec.Struct, gc=False):
    """What goes back; `answer` names who predicted, for the metrics."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    answer: Answer | None = None


def json_response(status: int, value: object, *headers: tuple[str, str]) -> Response:
    """A value as JSON."""
    return Response(status, _encode(value), JSON, headers)


class Pending(msgspec.Struct, gc=False):
    """A request that was read and waits for its model; `reply` makes the response of the answer."""

    request: Request
    asked: Asked
    work: Work
    reply: Callable[[Answer], Response]
