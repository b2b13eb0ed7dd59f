"""The model repository extension: which models there are, and loading, unloading and deploying them.

POST /v2/repository/index, POST /v2/repository/models/{model}/load and …/unload. A load that names a version,
in `parameters` or in the query, deploys it; an answer comes when this gateway does as it says.
Source: Triton Inference Server, model repository extension.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from esteira.base.errors import BadInput, UnknownName
from esteira.serving.deployments import NoAuditTrail
from esteira.serving.http.decoding import decode
from esteira.serving.http.messages import json_response
from esteira.serving.live.availability import NotLoaded
from esteira.serving.live.states import LOADING, READY, UNAVAILABLE, UNLOADING
from esteira.serving.rollout.state import RolloutUnderWay

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.serving.deployments import Deployments
    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request, Response
    from esteira.serving.live.routes import LiveRoutes

PATIENCE_S = 5.0  # for what was recorded to be in force; it comes later too
REASON_HEADER = "x-esteira-reason"
REASON = "asked of the gateway"
_LOOK_S = 0.005
_LARGEST = 2**63 - 1  # version that a store can hold


class Listed(msgspec.Struct):
    """What is asked of the index."""

    ready: bool = False


class Change(msgspec.Struct):
    """The body of a load or an unload."""

    parameters: dict[str, Any] = {}


_index_decoder = msgspec.json.Decoder(Listed)
_change_decoder = msgspec.json.Decoder(Change)


def index(gateway: Gateway, request: Request) -> Response:
    """POST /v2/repository/index: the versions that this caller may ask. Raises: BadInput."""
    asked = decode(_index_decoder, request.body) if request.body else Listed()
    found = [
        each._asdict()
        for each in gateway.live.states()
        if request.caller.may_ask(each.name) and (each.state == READY or not asked.ready)
    ]
    return json_response(200, found)


def load(gateway: Gateway, request: Request) -> Response:
    """POST …/load: deploy a version, or let the model back into memory.

    Raises: BadInput, NotFound, Undeployable, RoutesMoved, ChangeUnderWay, ModelUnavailable, NoAuditTrail.
    """
    deployments, asked, reason = _asked(gateway, request)
    name, by, live = request.model, request.caller.name, gateway.live
    try:
        if "version" in asked:
            routes = deployments.deploy(name, _version(asked["version"]), by, reason)
        else:
            routes = deployments.load(name, by, reason)
    except RolloutUnderWay as busy:
        return json_response(409, {"error": str(busy)})
    facts = {"name": name, "version": str(routes.champion.version), "revision": routes.revision}

    def failure() -> str:
        found = live.failures.get(name)
        return found.reason if found is not None and found.revision >= routes.revision else ""

    if not _came(lambda: bool(failure()) or _is_served(live, name, routes.revision)):
        return _later(facts, LOADING)
    if failure():
        return json_response(503, {"error": f"{name} could not be loaded: {failure()}"})
    if live.is_on_demand:
        live.bring(name)
    return json_response(200, facts | {"state": READY})


def _is_served(live: LiveRoutes, name: str, revision: int) -> bool:
    """Whether a revision is in force on every worker, and held here unless models wait to be asked for."""
    if live.served_by_all(name) < revision:
        return False
    held = live.models.get(name)
    return isinstance(live.absent(name), NotLoaded) if held is None else held.routes.revision >= revision


def unload(gateway: Gateway, request: Request) -> Response:
    """POST …/unload: out of the memory of every worker of this gateway; the answer says so, or who has it.

    Raises: BadInput, NotFound, NoAuditTrail.
    """
    deployments, asked, reason = _asked(gateway, request)
    if "version" in asked:
        raise BadInput("a version is not unloaded alone; unload the model, or load another version of it")
    deployments.unload(request.model, request.caller.name, reason)
    facts, live, name = {"name": request.model}, gateway.live, request.model
    if not _came(lambda: name not in live.models and not live.holders(name)):
        return _later(facts | {"held_by": live.holders(name)}, UNLOADING)
    return json_response(200, facts | {"state": UNAVAILABLE})


def _asked(gateway: Gateway, request: Request) -> tuple[Deployments, dict[str, Any], str]:
    """What changes models here, the parameters of the request, and its reason."""
    if gateway.deployments is None:
        raise NoAuditTrail
    given = decode(_change_decoder, request.body).parameters if request.body else {}
    asked = dict(parse_qsl(request.query)) | given
    for name in asked:
        if name == "config" or name.startswith("file:"):
            raise BadInput("models come from the registry; a load brings neither a configuration nor files")
        if name not in _PARAMETERS:
            raise UnknownName("parameter", name[:80], _PARAMETERS)
    reason = asked.get("reason") or request.headers.get(REASON_HEADER) or REASON
    if not isinstance(reason, str):
        raise BadInput(f"parameters.reason must be a text, found {str(reason)[:40]}")
    return gateway.deployments, asked, reason


_PARAMETERS = ("version", "reason", "unload_dependents")  # nothing here depends on a model


def _version(given: object) -> int:
    text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= _LARGEST):
        raise BadInput(f"parameters.version must be the number of a version, found {str(given)[:40]!r}")
    return int(text)


def _came(is_done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not is_done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def _later(facts: dict[str, Any], state: str) -> Response:
    look = "it is recorded and comes into force; see: POST /v2/repository/index"
    return json_response(202, facts | {"state": state, "look": look})
