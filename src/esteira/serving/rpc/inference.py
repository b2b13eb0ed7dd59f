"""An inference over gRPC: what a message asks of a model, and the message of its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput, UnknownName
from esteira.serving.gateway import encode
from esteira.serving.http.columns import Tensor, matrix_of, rows_of
from esteira.serving.http.models import tensors_of
from esteira.serving.http.oip import KEY_HEADER, OUTPUT
from esteira.serving.rpc.contents import arrays_of, fill
from esteira.serving.rpc.messages import MESSAGES, parse, plain
from esteira.serving.work import ColumnsWork

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from esteira.serving.access.guard import Headers
    from esteira.serving.gateway import Answer, Asked, Gateway
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.work import Work

    Message = Any  # of a class that is made at start

_CLASSES = "classification"  # a parameter of outputs: Triton would turn scores into names of classes


@dataclass(frozen=True, slots=True)
class Pending:
    """An inference that was read and waits for its model."""

    asked: Asked
    work: Work
    outputs: tuple[str, ...]  # that are asked for; empty: all
    is_raw: bool

    def reply(self, answer: Answer) -> bytes:
        """The response of an answer: raw where the request was, typed where it was not."""
        response = MESSAGES["ModelInferResponse"](
            model_name=answer.model, model_version=answer.version, id=answer.id
        )
        response.parameters["arm"].string_param = answer.arm
        response.parameters["route_revision"].int64_param = answer.revision
        found: Mapping[str, NDArray[Any]] = answer.outputs or {OUTPUT: np.array(answer.scores, np.float64)}
        fill(response, {name: found[name] for name in self.outputs or found}, raw=self.is_raw)
        content: bytes = response.SerializeToString()
        return content


def ask(gateway: Gateway, request: Message, headers: Headers) -> Asked:
    """The version that a request asks. Raises: NotFound, ModelUnavailable, BadInput."""
    key = plain(request.parameters).get("key") or headers.get(KEY_HEADER) or ""
    if not isinstance(key, str):
        raise BadInput(f"parameters.key must be a text, found {key!r}")
    return gateway.ask(request.model_name, request.id, key, request.model_version, headers)


def infer(asked: Asked, request: Message) -> Pending:
    """Read a request for a version. Raises: BadInput, FeaturesUnreadable."""
    outputs = tuple(_outputs(asked.loaded, request.outputs))
    work = _work(asked, arrays_of(request))
    return Pending(asked, work, outputs, bool(request.raw_input_contents))


def work_of_bytes(asked: Asked, content: bytes) -> Work:
    """What the bytes of a request ask of a version. Raises: BadInput, FeaturesUnreadable."""
    return infer(asked, parse("ModelInferRequest", content)).work


def _work(asked: Asked, arrays: Mapping[str, NDArray[Any]]) -> Work:
    loaded = asked.loaded
    if loaded.tensors is not None:
        return loaded.tensors_work(arrays)
    tensors = [Tensor(name, [*array.shape], "") for name, array in arrays.items()]
    if loaded.decoder.is_direct and len(tensors) == 1 and len(tensors[0].shape) == 2:
        vectors = matrix_of(tensors[0], arrays[tensors[0].name], loaded.signature)
        if vectors is not None:
            return ColumnsWork(vectors)
    return ColumnsWork(encode(asked, rows_of(tensors, arrays)))


def _outputs(loaded: LoadedArm, asked: Message) -> Iterable[str]:
    known = [OUTPUT] if loaded.tensors is None else [spec.name for spec in loaded.tensors.outputs]
    names: dict[str, None] = {}
    for output in asked:
        if output.name not in known:
            raise UnknownName("output", output.name[:80], known)
        if _CLASSES in output.parameters:
            raise BadInput(f"output {output.name!r} has no classes; leave out the parameter {_CLASSES!r}")
        names[output.name] = None
    return names


def metadata(gateway: Gateway, request: Message) -> Message:
    """What a model takes and gives. Raises: NotFound, ModelUnavailable."""
    found = gateway.model(request.name)
    loaded = gateway.arm(found, request.version) if request.version else found.champion
    response = MESSAGES["ModelMetadataResponse"](name=request.name, platform=loaded.platform)
    response.versions.extend(sorted(found.by_version, key=int))
    tensors = tensors_of(loaded)
    for specs, described in ((tensors.inputs, response.inputs), (tensors.outputs, response.outputs)):
        for spec in specs:
            described.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
    return response
