"""Paths to handlers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from esteira.serving.access.roles import (
    ADMIN,
    DEFAULT_MODEL,
    NO_MODEL,
    NOBODY,
    OBSERVE,
    PREDICT,
    REPORT,
)
from esteira.serving.http import features, models, push, repository
from esteira.serving.http.exposition import metrics_text
from esteira.serving.http.invocations import invoke
from esteira.serving.http.labels import post_labels
from esteira.serving.http.messages import NOWHERE, Route
from esteira.serving.http.model_openapi import model_openapi
from esteira.serving.http.oip import infer
from esteira.serving.http.openapi import openapi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.serving.http.messages import Handler


_SERVER = Route("oip", {"GET": models.server}, PREDICT, NO_MODEL)
_PING = Route("mlflow", {"GET": models.ping}, NOBODY)
_FIXED = {
    "/v2": _SERVER,
    "/v2/": _SERVER,
    "/v2/health/live": Route("oip", {"GET": models.live}, NOBODY),
    "/v2/health/ready": Route("oip", {"GET": models.ready}, NOBODY),
    "/v2/repository/index": Route("oip", {"POST": repository.index}, OBSERVE, NO_MODEL),
    "/invocations": Route("mlflow", {"POST": invoke}, PREDICT, DEFAULT_MODEL),
    "/ping": _PING,
    "/health": _PING,
    "/version": Route("mlflow", {"GET": models.version}, PREDICT, NO_MODEL),
    "/features": Route("features", {"GET": features.views, "POST": features.read}, PREDICT),
    "/push": Route("push", {"GET": push.tables}, REPORT, NO_MODEL),
    "/labels": Route("labels", {"POST": post_labels}, REPORT, NO_MODEL),  # of predictions, by their ids
    # Of a thousand models it is megabytes of text: written beside the event loop, not on it.
    "/metrics": Route("metrics", {"GET": metrics_text}, OBSERVE, waits=True),
    "/openapi.json": Route("oip", {"GET": openapi}, NOBODY),
}
_OF_MODEL: Mapping[str, Mapping[str, Handler]] = {
    "": {"GET": models.model},
    "ready": {"GET": models.model_ready},
    "infer": {"POST": infer},
    "openapi.json": {"GET": model_openapi},
}
_NEEDS = {"openapi.json": OBSERVE}  # a role other than to predict
_OF_REPOSITORY: Mapping[str, Mapping[str, Handler]] = {
    "load": {"POST": repository.load},
    "unload": {"POST": repository.unload},
}
_OF_VIEW: Mapping[str, Handler] = {"GET": features.read_one, "POST": features.read_view}
_OF_TABLE: Mapping[str, Handler] = {"POST": push.post_rows}


_LONGEST = 2_048  # characters of a path that leads somewhere: those that were asked for are kept in memory


def route_of(path: str) -> Route:
    """The route of a path, `NOWHERE` when nothing is there."""
    return resolve(path) or NOWHERE


def resolve(path: str) -> Route | None:
    """The route of a path; None when there is none.

    >>> resolve("/v2/models/late/versions/3/infer").version
    '3'
    """
    return _resolved(path) if len(path) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _resolved(path: str) -> Route | None:
    if path in _FIXED:
        return _FIXED[path]
    if path.startswith(("/features/", "/push/")):
        return _resolve_named(path)
    if path.startswith("/v2/repository/models/"):
        return _resolve_change(path)
    if not path.startswith("/v2/models/"):
        return None
    name, *rest = path.removeprefix("/v2/models/").split("/")
    version = ""
    if rest[:1] == ["versions"] and any(rest[1:2]):
        version, rest = rest[1], rest[2:]
    verb = "/".join(rest)
    if not name or verb not in _OF_MODEL or (rest and not verb):
        return None
    return Route("oip", _OF_MODEL[verb], _NEEDS.get(verb, PREDICT), name, name, version)


def _resolve_named(path: str) -> Route | None:
    room, name = path[1:].split("/", 1)
    if not name or "/" in name:
        return None
    if room == "push":
        return Route("push", _OF_TABLE, REPORT, NO_MODEL, table=name, waits=True)
    return Route("features", _OF_VIEW, PREDICT, view=name)


def _resolve_change(path: str) -> Route | None:
    name, _, verb = path.removeprefix("/v2/repository/models/").partition("/")
    if not name or verb not in _OF_REPOSITORY:
        return None
    return Route("oip", _OF_REPOSITORY[verb], ADMIN, name, name, waits=True)


def template_of(path: str, route: Route) -> str:
    """A path with names for what callers chose, so that it can be told of; empty when nothing is there.

    >>> template_of("/v2/models/late/versions/3/infer", resolve("/v2/models/late/versions/3/infer"))
    '/v2/models/{model}/versions/{version}/infer'
    """
    chosen = [
        (name, value)
        for name, value in (("model", route.model), ("view", route.view), ("table", route.table))
        if value
    ]
    if not chosen:
        return path if path in _FIXED else ""
    parts = path.split("/")
    first = parts.index("models") + 1 if route.model else 2
    parts[first] = f"{{{chosen[0][0]}}}"
    if route.version:
        parts[first + 2] = "{version}"
    return "/".join(parts)
