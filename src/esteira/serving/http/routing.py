"""Paths to handlers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from esteira.serving.http import features, models, push
from esteira.serving.http.exposition import metrics_text
from esteira.serving.http.invocations import invoke
from esteira.serving.http.labels import post_labels
from esteira.serving.http.oip import infer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request, Response

    Handler = Callable[[Gateway, Request], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers on a path: a handler for each method, in a protocol."""

    protocol: str  # oip, mlflow, features, labels, push or metrics: how errors look, and a metric's label
    handlers: Mapping[str, Handler]
    model: str = ""
    version: str = ""
    view: str = ""
    table: str = ""
    waits: bool = False  # for the disk, before it answers


_SERVER = Route("oip", {"GET": models.server})
_PING = Route("mlflow", {"GET": models.ping})
_FIXED = {
    "/v2": _SERVER,
    "/v2/": _SERVER,
    "/v2/health/live": Route("oip", {"GET": models.live}),
    "/v2/health/ready": Route("oip", {"GET": models.ready}),
    "/invocations": Route("mlflow", {"POST": invoke}),
    "/ping": _PING,
    "/health": _PING,
    "/version": Route("mlflow", {"GET": models.version}),
    "/features": Route("features", {"GET": features.views, "POST": features.read}),
    "/push": Route("push", {"GET": push.tables}),
    "/labels": Route("labels", {"POST": post_labels}),
    "/metrics": Route("metrics", {"GET": metrics_text}),
}
_OF_MODEL: Mapping[str, Mapping[str, Handler]] = {
    "": {"GET": models.model},
    "ready": {"GET": models.model_ready},
    "infer": {"POST": infer},
}
_OF_VIEW: Mapping[str, Handler] = {"GET": features.read_one, "POST": features.read_view}
_OF_TABLE: Mapping[str, Handler] = {"POST": push.post_rows}


@lru_cache(maxsize=4096)
def resolve(path: str) -> Route | None:
    """The route of a path; None when there is none.

    >>> resolve("/v2/models/late/versions/3/infer").version
    '3'
    """
    if path in _FIXED:
        return _FIXED[path]
    if path.startswith(("/features/", "/push/")):
        return _resolve_named(path)
    if not path.startswith("/v2/models/"):
        return None
    name, *rest = path.removeprefix("/v2/models/").split("/")
    version = ""
    if rest[:1] == ["versions"] and any(rest[1:2]):
        version, rest = rest[1], rest[2:]
    verb = "/".join(rest)
    if not name or verb not in _OF_MODEL or (rest and not verb):
        return None
    return Route("oip", _OF_MODEL[verb], name, version)


def _resolve_named(path: str) -> Route | None:
    room, name = path[1:].split("/", 1)
    if not name or "/" in name:
        return None
    if room == "push":
        return Route("push", _OF_TABLE, table=name, waits=True)
    return Route("features", _OF_VIEW, view=name)
