"""Features over HTTP: GET and POST /features, GET and POST /features/{view}."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from esteira.base.clock import parse_time, to_micros
from esteira.base.errors import BadInput
from esteira.serving.http.decoding import decode
from esteira.serving.http.messages import Response, json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request

_AT = "at"


class Read(msgspec.Struct, forbid_unknown_fields=True):
    """Which features of whom; `features` are views or `view__feature`."""

    entities: list[dict[str, Any]]
    features: list[str] = []
    at: int | str | None = None  # UTC microseconds or ISO 8601; now when absent


_decoder = msgspec.json.Decoder(Read)


def views(gateway: Gateway, _request: Request) -> Response:
    """GET /features: the views there are, with their keys, features and TTL in seconds."""
    found = {
        name: {
            "keys": layout.keys,
            "features": dict(zip(layout.features, layout.kinds, strict=True)),
            "ttl_seconds": None if layout.ttl_us is None else layout.ttl_us / 1e6,
        }
        for name, layout in sorted(gateway.features.views().items())
    }
    return json_response(200, {"views": found})


def read_one(gateway: Gateway, request: Request) -> Response:
    """GET /features/{view}?KEY=VALUE…: one entity. Raises: NotFound, BadInput."""
    pairs = parse_qsl(request.query, keep_blank_values=True)
    entity = dict(pairs)
    if len(entity) < len(pairs):
        raise BadInput("a key is given twice; ask for several entities with POST")
    at = entity.pop(_AT, None)
    layout = gateway.features.layout(request.view)
    for name in entity:
        if name not in layout.keys:
            raise BadInput(
                f"{name[:80]!r} is no key of view {request.view!r}; its keys are {', '.join(layout.keys)}"
            )
    return _answer(gateway, [request.view], [entity], at)


def read_view(gateway: Gateway, request: Request) -> Response:
    """POST /features/{view}: several entities. Raises: NotFound, BadInput."""
    asked = decode(_decoder, request.body)
    if asked.features:
        names = [f"{request.view}__{feature}" for feature in asked.features]
        return _answer(gateway, names, asked.entities, asked.at)
    return _answer(gateway, [request.view], asked.entities, asked.at)


def read(gateway: Gateway, request: Request) -> Response:
    """POST /features: features of several views at once. Raises: NotFound, BadInput."""
    asked = decode(_decoder, request.body)
    return _answer(gateway, asked.features, asked.entities, asked.at)


def _answer(
    gateway: Gateway, features: Sequence[str], entities: Sequence[dict[str, Any]], at: int | str | None
) -> Response:
    moment = _moment(at)
    found = gateway.features.read(features, entities, moment)
    return json_response(200, {"columns": found.columns, "values": found.values, "status": found.status})


def _moment(at: int | str | None) -> int | None:
    return to_micros(parse_time(at, _AT)) if isinstance(at, str) else at
