"""A request and a response, free of any server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from esteira.serving.access.roles import ANYBODY

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.serving.access.roles import Caller
    from esteira.serving.gateway import Answer, Asked
    from esteira.serving.work import Work

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_encode = msgspec.json.Encoder().encode


class Headers(Protocol):
    """The headers of a request; names are in lower case."""

    def get(self, name: str, /) -> str | None: ...


class Request(msgspec.Struct, gc=False):
    """One request with its whole body, on a path that was found."""

    headers: Headers
    body: bytes
    model: str = ""  # from the path
    version: str = ""  # from the path
    view: str = ""  # from the path
    query: str = ""  # what follows the question mark
    table: str = ""  # from the path
    caller: Caller = ANYBODY


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

    asked: Asked
    work: Work
    reply: Callable[[Answer], Response]
