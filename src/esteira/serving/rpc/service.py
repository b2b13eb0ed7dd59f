"""What the gateway answers to each call of the Open Inference Protocol, free of any server.

Sources: kserve/open-inference-protocol, grpc_predict_v2.proto; Triton's model repository extension.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.errors import EsteiraError, NotFound
from esteira.serving.access.roles import ADMIN, ANYBODY, NO_MODEL, NOBODY, OBSERVE, PREDICT
from esteira.serving.http import repository
from esteira.serving.http.messages import Request, Route
from esteira.serving.http.models import VERSION
from esteira.serving.live.availability import ModelUnavailable, NotLoaded
from esteira.serving.live.states import READY
from esteira.serving.rpc.inference import Pending, ask, infer, metadata
from esteira.serving.rpc.messages import MESSAGES, parse, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.serving.access.guard import Guard, Headers
    from esteira.serving.access.roles import Caller
    from esteira.serving.gateway import Answer, Asked, Gateway
    from esteira.serving.http.messages import Response
    from esteira.serving.rpc.messages import Message

EXTENSIONS = ("model_repository",)

_encode = msgspec.json.Encoder().encode


class RepositoryRefused(EsteiraError):
    """A change of what serves that was not made; `status` is that of the same answer over HTTP."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(slots=True)
class Call:
    """One call: what came with it, who asks, which version was to answer, and which did."""

    method: str
    headers: Headers
    caller: Caller = ANYBODY
    tried: Asked | None = None  # once a model was found
    is_read: bool = False  # then what fails is the model
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """What answers a call."""

    handler: Callable[[InferenceService, Message, Call], Any]
    need: str  # the role that it takes
    model_field: str = ""  # of the request: the model that it is about
    waits: bool = False  # for the disk or for a model to load, so it must not hold up the others


@dataclass
class InferenceService:
    """Turns the bytes of a request into the bytes of a response, or raises an error of ours."""

    gateway: Gateway
    guard: Guard

    @property
    def is_ready(self) -> bool:
        """Whether there is a model to ask, and the server is not ending."""
        return self.gateway.live.is_ready()

    def handle(self, call: Call, content: bytes) -> bytes | Pending:
        """The response to a request of `call.method`, or an inference that waits for its model.

        Raises: NotAuthenticated, NotAllowed, NotFound, BadInput, ModelUnavailable, and what stores raise.
        """
        method = METHODS[call.method]
        call.caller = self.guard.caller(method.need, NO_MODEL, call.headers)  # before anything is read
        request = parse(f"{call.method}Request", content)
        if method.model_field:
            name = getattr(request, method.model_field)
            if "/" in name:  # as no path could name it; with a slash begin the guard's own words
                raise NotFound("model", name[:80], "the name of a model holds no slash")
            self.guard.caller(method.need, name, call.headers)
        answer = method.handler(self, request, call)
        if isinstance(answer, Pending):
            return answer
        response: bytes = answer.SerializeToString()
        return response


def _server_live(_service: InferenceService, _request: Message, _call: Call) -> Message:
    return MESSAGES["ServerLiveResponse"](live=True)


def _server_ready(service: InferenceService, _request: Message, _call: Call) -> Message:
    return MESSAGES["ServerReadyResponse"](ready=service.is_ready)


def _server_metadata(_service: InferenceService, _request: Message, _call: Call) -> Message:
    return MESSAGES["ServerMetadataResponse"](name="esteira", version=VERSION, extensions=EXTENSIONS)


def _model_ready(service: InferenceService, request: Message, _call: Call) -> Message:
    """A model that nobody knows is not ready, as Triton says it; its metadata is what is not found."""
    try:
        found = service.gateway.model(request.name)
        is_ready = not request.version or request.version in found.by_version
    except NotLoaded:  # not yet, so it is brought in
        raise
    except (NotFound, ModelUnavailable):
        is_ready = False
    return MESSAGES["ModelReadyResponse"](ready=is_ready)


def _model_metadata(service: InferenceService, request: Message, _call: Call) -> Message:
    return metadata(service.gateway, request)


def _model_infer(service: InferenceService, request: Message, call: Call) -> Pending:
    call.tried = asked = ask(service.gateway, request, call.headers)
    return infer(asked, request)


def _index(service: InferenceService, request: Message, call: Call) -> Message:
    _check_repository(request)
    response = MESSAGES["RepositoryIndexResponse"]()
    for each in service.gateway.live.states():
        is_ready = each.state == READY
        if call.caller.may_ask(each.name) and (is_ready or not request.ready):
            response.models.add(name=each.name, version=each.version, state=each.state, reason=each.reason)
    return response


def _change(
    change: Callable[[Gateway, Request], Response],
    response: str,
    service: InferenceService,
    request: Message,
    call: Call,
) -> Message:
    """A change of the repository, which is the same over HTTP: same record, same patience, same refusals."""
    _check_repository(request)
    body = _encode({"parameters": plain(request.parameters)})
    route = Route("grpc", {}, model=request.model_name)
    answer = change(service.gateway, Request(route, call.headers, body, caller=call.caller))
    if answer.status >= 400:
        raise RepositoryRefused(answer.status, msgspec.json.decode(answer.body)["error"])
    return MESSAGES[response]()


def _check_repository(request: Message) -> None:
    if request.repository_name:
        raise NotFound("repository", request.repository_name[:80], "there is one, so leave out its name")


_load = partial(_change, repository.load, "RepositoryModelLoadResponse")
_unload = partial(_change, repository.unload, "RepositoryModelUnloadResponse")

METHODS: Mapping[str, Method] = {
    "ServerLive": Method(_server_live, NOBODY),
    "ServerReady": Method(_server_ready, NOBODY),
    "ServerMetadata": Method(_server_metadata, PREDICT),
    "ModelReady": Method(_model_ready, PREDICT, "name"),
    "ModelMetadata": Method(_model_metadata, PREDICT, "name"),
    "ModelInfer": Method(_model_infer, PREDICT, "model_name"),
    "RepositoryIndex": Method(_index, OBSERVE),
    "RepositoryModelLoad": Method(_load, ADMIN, "model_name", waits=True),
    "RepositoryModelUnload": Method(_unload, ADMIN, "model_name", waits=True),
}
