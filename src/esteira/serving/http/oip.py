"""Inference in the Open Inference Protocol v2: tensors named by column, one output named `score`.

Source: kserve/open-inference-protocol, REST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.errors import BadInput
from esteira.registry.columns import WrongInput
from esteira.serving.gateway import Question
from esteira.serving.http.decoding import decode
from esteira.serving.http.messages import JSON, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.gateway import Answer, Gateway
    from esteira.serving.http.messages import Request

OUTPUT = "score"
KEY_HEADER = "x-esteira-key"
BINARY_HEADER = "inference-header-content-length"

_ONE = [1]  # the shape of one row
_WHOLE, _REAL = frozenset({int, type(None)}), frozenset({float, int, type(None)})
_ELEMENTS = {
    "BOOL": frozenset({bool, type(None)}),
    "BYTES": frozenset({str, type(None)}),
    **dict.fromkeys(("FP16", "FP32", "FP64"), _REAL),
    **dict.fromkeys((f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)), _WHOLE),
}


class Tensor(msgspec.Struct, gc=False):
    """One column of a request."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class Requested(msgspec.Struct, gc=False):
    """An output that the caller asks for."""

    name: str


class InferRequest(msgspec.Struct, gc=False):
    """The body of an inference."""

    inputs: list[Tensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[Requested] = []


class Scores(msgspec.Struct, gc=False):
    """The one output tensor."""

    name: str
    datatype: str
    shape: tuple[int]
    data: list[float]


class InferResponse(msgspec.Struct, gc=False):
    """The body of an answer."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, str | int]
    outputs: tuple[Scores]


_decoder = msgspec.json.Decoder(InferRequest)
_encode = msgspec.json.Encoder().encode


def infer(gateway: Gateway, request: Request) -> Response:
    """Answer POST /v2/models/{model}[/versions/{version}]/infer. Raises: BadInput, NotFound."""
    if request.headers.get(BINARY_HEADER) is not None:
        raise BadInput("binary tensors are not served; send the data as JSON (binary_data=False)")
    asked = decode(_decoder, request.body)
    for output in asked.outputs:
        if output.name != OUTPUT:
            raise BadInput(f"unknown output {output.name!r}; ask for {OUTPUT!r}, or leave outputs out")
    key = asked.parameters.get("key") or request.headers.get(KEY_HEADER) or ""
    if not isinstance(key, str):
        raise BadInput(f"parameters.key must be a text, found {key!r}")
    question = Question(request.model, _rows(asked.inputs), asked.id, key, request.version)
    answer = gateway.predict(question)
    return Response(200, _encode(_response(answer)), JSON, (), answer)


def _response(answer: Answer) -> InferResponse:
    scores = Scores(OUTPUT, "FP64", (len(answer.scores),), answer.scores)
    parameters: dict[str, str | int] = {"arm": answer.arm, "route_revision": answer.revision}
    return InferResponse(answer.model, answer.version, answer.id, parameters, (scores,))


def _rows(inputs: Sequence[Tensor]) -> list[dict[str, Any]]:
    row: dict[str, Any] = {}
    for tensor in inputs:  # the common request, checked as `_rows_of_columns` would, but without its lists
        data = tensor.data
        if tensor.shape != _ONE or len(data) != 1 or type(data[0]) not in _ELEMENTS.get(tensor.datatype, ()):
            return _rows_of_columns(inputs)
        row[tensor.name] = data[0]
    return [row] if row and len(row) == len(inputs) else _rows_of_columns(inputs)


def _rows_of_columns(inputs: Sequence[Tensor]) -> list[dict[str, Any]]:
    columns = {tensor.name: _column(tensor) for tensor in inputs}
    if len(columns) != len(inputs):
        names = [tensor.name for tensor in inputs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise WrongInput(doubled, "one tensor", "several of that name")
    if not columns:
        raise BadInput("inputs is empty; send one tensor for each column")
    if len({len(values) for values in columns.values()}) > 1:
        first = inputs[0]
        odd = next(tensor for tensor in inputs if tensor.shape[0] != first.shape[0])
        raise WrongInput(odd.name, f"as long as {first.name!r}, {first.shape[0]}", f"{odd.shape[0]}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _column(tensor: Tensor) -> list[Any]:
    shape, data = tensor.shape, tensor.data
    if len(shape) != 1:
        data = _flat(tensor)
    if len(data) != shape[0]:
        raise WrongInput(tensor.name, f"{shape[0]} elements, as its shape says", str(len(data)))
    accepted = _ELEMENTS.get(tensor.datatype)
    if accepted is None:
        raise WrongInput(tensor.name, f"of datatype {', '.join(_ELEMENTS)}", repr(tensor.datatype)[:40])
    if not accepted.issuperset(map(type, data)):
        stranger = next(each for each in data if type(each) not in accepted)
        raise WrongInput(tensor.name, f"{tensor.datatype} elements", repr(stranger)[:40])
    return data


def _flat(tensor: Tensor) -> list[Any]:
    if len(tensor.shape) != 2 or tensor.shape[1] != 1:
        raise WrongInput(tensor.name, "of shape [n] or [n, 1], one tensor for each column", str(tensor.shape))
    if all(isinstance(each, list) and len(each) == 1 for each in tensor.data):
        return [each[0] for each in tensor.data]
    return tensor.data
