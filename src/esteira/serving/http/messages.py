"""A request and a response, free of any server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from esteira.serving.gateway import Answer

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_encode = msgspec.json.Encoder().encode


class Headers(Protocol):
    """The headers of a request; names are in lower case."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(slots=True)
class Request:
    """One request with its whole body, on a path that was found."""

    headers: Headers
    body: bytes
    model: str = ""  # from the path
    version: str = ""  # from the path
    view: str = ""  # from the path
    query: str = ""  # what follows the question mark
    table: str = ""  # from the path


@dataclass(slots=True)
class Response:
    """What goes back; `answer` names who predicted, for the metrics."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    answer: Answer | None = None


def json_response(status: int, value: object, *headers: tuple[str, str]) -> Response:
    """A value as JSON."""
    return Response(status, _encode(value), JSON, headers)
