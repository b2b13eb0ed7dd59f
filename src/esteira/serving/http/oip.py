"""Inference in the Open Inference Protocol v2: one tensor for each column, or the tensors of the model.

A model of columns takes a tensor [n] or [n, 1] by the name of each column, or one matrix [n, columns] when
all of them are numbers, and answers with one tensor `score`.

Source: kserve/open-inference-protocol, REST.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from esteira.base.errors import BadInput, UnknownName
from esteira.registry.columns import WrongInput
from esteira.registry.tensors import TensorSpec
from esteira.serving.gateway import encode
from esteira.serving.http.arrays import array_of
from esteira.serving.http.binary import BYTES_TYPE, LENGTH_HEADER, SIZE, arrays_of, split_body
from esteira.serving.http.columns import Tensor, matrix_of, rows_of
from esteira.serving.http.decoding import decode
from esteira.serving.http.messages import JSON, Pending, Response
from esteira.serving.tensors import count_of, datatype_of, shaped, to_raw
from esteira.serving.work import ColumnsWork

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.serving.gateway import Answer, Asked, Gateway
    from esteira.serving.http.messages import Request
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.work import Work

OUTPUT = "score"  # the only one of a model of columns
KEY_HEADER = "x-esteira-key"
_ALL_BINARY, _BINARY = "binary_data_output", "binary_data"


class Requested(msgspec.Struct, gc=False):
    """An output that the caller asks for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, gc=False):
    """The body of an inference."""

    inputs: list[Tensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[Requested] = []


class Output(msgspec.Struct, gc=False, omit_defaults=True):
    """A tensor of the answer; its data stands here, or in bytes after the JSON."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: Any = None
    parameters: dict[str, int] | None = None


class InferResponse(msgspec.Struct, gc=False):
    """The body of an answer."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, str | int]
    outputs: Sequence[Output]


_decoder = msgspec.json.Decoder(InferRequest)
_encode = msgspec.json.Encoder().encode


def infer(gateway: Gateway, request: Request) -> Pending:
    """Answer POST /v2/models/{model}[/versions/{version}]/infer. Raises: BadInput, NotFound."""
    infer, raw = read(request.body, request.headers.get(LENGTH_HEADER))
    key = infer.parameters.get("key") or request.headers.get(KEY_HEADER) or ""
    if not isinstance(key, str):
        raise BadInput(f"parameters.key must be a text, found {str(key)[:40]!r}")
    request.tried = asked = gateway.ask(request.model, infer.id, key, request.version, request.headers)
    work = work_of(asked, infer, raw)
    if asked.loaded.tensors is None and not infer.parameters and not infer.outputs:
        return Pending(request, asked, work, _reply_scores)
    return Pending(request, asked, work, partial(_reply, infer))


def read(body: bytes, header: str | None) -> tuple[InferRequest, bytes | None]:
    """The JSON of a body, and the bytes after it where `header` says how long it is. Raises: BadInput."""
    if header is None:
        return decode(_decoder, body), None
    body, raw = split_body(header, body)
    return decode(_decoder, body), raw


def work_of(asked: Asked, infer: InferRequest, raw: bytes | None) -> Work:
    """What an inference asks of a version. Raises: BadInput, UnknownName, FeaturesUnreadable."""
    _check_outputs(asked.loaded, infer.outputs)
    arrays = {} if raw is None else arrays_of(infer.inputs, raw)
    return _work(asked, infer.inputs, arrays)


def _check_outputs(loaded: LoadedArm, outputs: Sequence[Requested]) -> None:
    known = [OUTPUT] if loaded.tensors is None else [spec.name for spec in loaded.tensors.outputs]
    for output in outputs:
        if output.name not in known:
            raise UnknownName("output", output.name[:80], known)


def _work(asked: Asked, inputs: Sequence[Tensor], arrays: Mapping[str, NDArray[Any]]) -> Work:
    loaded = asked.loaded
    if loaded.tensors is not None:
        _refuse_doubled(inputs)
        given = {tensor.name: _array(tensor) for tensor in inputs if tensor.name not in arrays}
        return loaded.tensors_work({**given, **arrays})
    if loaded.decoder.is_direct and len(inputs) == 1 and len(inputs[0].shape) == 2:
        vectors = matrix_of(inputs[0], arrays.get(inputs[0].name), loaded.signature)
        if vectors is not None:
            return ColumnsWork(vectors)
    return ColumnsWork(encode(asked, rows_of(inputs, arrays)))


def _refuse_doubled(inputs: Sequence[Tensor]) -> None:
    names = [tensor.name for tensor in inputs]
    for name in names:
        if names.count(name) > 1:
            raise WrongInput(name[:80], "one tensor", "several of that name")


def _array(tensor: Tensor) -> NDArray[Any]:
    """The elements of a tensor in JSON, flat or nested, in its shape. Raises: WrongInput, BadInput."""
    name, shape = tensor.name[:80], tensor.shape
    count = count_of(tensor.datatype, shape)
    if tensor.data is None:
        raise WrongInput(name, "a tensor with data", "none")
    flat = array_of(TensorSpec(name, tensor.datatype, tuple(shape)), tensor.data).ravel()
    if flat.size != count:
        raise WrongInput(name, f"{count} elements, as its shape says", str(flat.size))
    return shaped(flat, shape)


def _reply_scores(answer: Answer) -> Response:
    """The usual answer: the scores, in JSON."""
    scores = Output(OUTPUT, "FP64", (len(answer.scores),), answer.scores)
    return Response(200, _encode(_document(answer, (scores,))), JSON, (), answer)


def _reply(infer: InferRequest, answer: Answer) -> Response:
    arrays: Mapping[str, NDArray[Any]] = answer.outputs or {OUTPUT: np.array(answer.scores)}
    wanted = [each.name for each in infer.outputs] or [*arrays]
    binary = dict.fromkeys(wanted, bool(infer.parameters.get(_ALL_BINARY)))
    binary |= {
        each.name: bool(each.parameters[_BINARY]) for each in infer.outputs if _BINARY in each.parameters
    }
    outputs, raws = [], []
    for name in wanted:
        array = arrays[name]
        output = Output(name, datatype_of(array), array.shape)
        if binary[name]:
            raws.append(to_raw(array))
            output.parameters = {SIZE: len(raws[-1])}
        else:
            output.data = array.ravel().tolist()
        outputs.append(output)
    body = _encode(_document(answer, outputs))
    if not raws:
        return Response(200, body, JSON, (), answer)
    headers = ((LENGTH_HEADER, str(len(body))),)
    return Response(200, b"".join((body, *raws)), BYTES_TYPE, headers, answer)


def _document(answer: Answer, outputs: Sequence[Output]) -> InferResponse:
    parameters: dict[str, str | int] = {"arm": answer.arm, "route_revision": answer.revision}
    return InferResponse(answer.model, answer.version, answer.id, parameters, outputs)
