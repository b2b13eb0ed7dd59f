"""GET /v2/models/{model}/openapi.json: what one version of a model takes and gives, in OpenAPI 3.1.

Columns are named, typed and told apart by whether a request must bring them; categories are told, not
enforced, for a model answers unknown ones too. Each request has an example that works.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from esteira.base.errors import NotFound
from esteira.serving.http.messages import json_response
from esteira.serving.http.models import tensors_of
from esteira.serving.http.openapi import (
    BASE,
    OPERATIONS,
    PINNED,
    document_of,
    operation_of,
    parameters_of,
)
from esteira.serving.http.openapi_schemas import NUMBER, SCHEMAS, TENSOR, a_list, an_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.registry.columns import Column
    from esteira.registry.tensors import TensorSpec
    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request, Response
    from esteira.serving.http.openapi import Document
    from esteira.serving.live.arms import LoadedArm

    Json = Any  # a number, a text, or lists of them

_SHOWN = 20  # categories, and tensors in a description
_LONGEST = 256  # elements of an example
_SCALAR = ["string", "number", "boolean", "null"]


def model_openapi(gateway: Gateway, request: Request) -> Response:
    """Answer GET /v2/models/{model}[/versions/{version}]/openapi.json. Raises: NotFound, ModelUnavailable."""
    found = gateway.model(request.model)
    arm = gateway.arm(found, request.version) if request.version else found.champion
    is_default = not request.version and _default_of(gateway) == request.model
    return json_response(200, model_document(request.model, request.version, arm, is_default=is_default))


def model_document(name: str, version: str, arm: LoadedArm, *, is_default: bool) -> Document:
    """The document of a version; `is_default` when /invocations asks it too."""
    base = PINNED if version else BASE
    known = {"{model}": quote(name, safe=""), "{version}": quote(version, safe="")}
    infer, invocation = infer_body(arm), invocation_body(arm)
    paths: dict[str, Document] = {}
    for each in OPERATIONS:
        is_invocation = each.path == "/invocations"
        if not (each.path.removeprefix(base) in {"", "/ready", "/infer"} or (is_default and is_invocation)):
            continue
        body = {"get": None, "post": invocation if is_invocation else infer}[each.method]
        path = each.path
        for hole, text in known.items():
            path = path.replace(hole, text)
        operation = operation_of(each, body)
        operation.pop("parameters", None)
        headers = [parameter for parameter in parameters_of(each) if parameter["in"] == "header"]
        if headers:
            operation["parameters"] = headers
        paths[path] = {each.method: operation | {"operationId": f"{each.method} {path}"}}
    said = f"Version {arm.version} of {name}, a model of {'tensors' if arm.tensors else 'columns'}."
    return document_of(name, said, paths)


def row_schema(arm: LoadedArm) -> Document:
    """One row of a request, by column; what else a row brings is ignored."""
    signature = arm.signature
    columns = signature.request_columns
    views = {key: view.name for view in signature.views for key in view.keys}
    fields = {column.name: column_schema(column, views.get(column.name, "")) for column in columns}
    fields |= {
        key: {"type": _SCALAR, "description": f"Key of the feature view {views[key]}; null when unknown."}
        for key in signature.keys
    }
    needed = [column.name for column in columns if not column.optional]
    return {"type": "object", "required": [*needed, *signature.keys], "properties": fields}


def column_schema(column: Column, view: str = "") -> Document:
    """One column: its type, and for a category what the model knows.

    >>> from esteira.registry.columns import Column
    >>> column_schema(Column("carrier", "category", ("AA", "UA"), optional=True))["type"]
    ['string', 'null']
    """
    said = ["Optional: null or absent when unknown."] if column.optional else []
    if view:
        said.append(f"Also a key of the feature view {view}.")
    found: Document = dict(NUMBER) if column.kind == "number" else {"type": "string"}
    if column.kind == "category" and column.categories:
        found["examples"] = [*column.categories[:_SHOWN]]
        more = f" and {len(column.categories) - _SHOWN} more" if len(column.categories) > _SHOWN else ""
        said.append(
            f"The model knows {', '.join(column.categories[:_SHOWN])}{more}; another text is unknown to it."
        )
    if column.optional:
        found["type"] = [found["type"], "null"]
    return found | ({"description": " ".join(said)} if said else {})


def invocation_body(arm: LoadedArm) -> Document:
    """The JSON of /invocations, with an example."""
    if arm.tensors is not None:
        inputs = arm.tensors.inputs
        by_name = an_object({spec.name: {"type": "array", "description": _shape(spec)} for spec in inputs})
        values: Document = {"anyOf": [by_name, {"type": "array"}]} if len(inputs) == 1 else by_name
        schema = {"schema": an_object({"inputs": values})}
        if _is_large(inputs):
            return schema
        return schema | {"example": {"inputs": {spec.name: _zeros(spec) for spec in inputs}}}
    row = row_schema(arm)
    fields: Mapping[str, Any] = row["properties"]
    columns = {name: {"anyOf": [a_list(each), each]} for name, each in fields.items()}
    split = an_object(
        {
            "columns": a_list({"type": "string"}),
            "data": a_list({"type": "array", "minItems": len(row["required"])}),
        }
    )
    formats = {
        "dataframe_records": a_list(row),
        "dataframe_split": split,
        "instances": a_list(row),
        "inputs": {"anyOf": [a_list(row), row | {"properties": columns}]},
    }
    one = [an_object({name: schema}) for name, schema in formats.items()]
    return {"schema": {"oneOf": one}, "example": {"dataframe_records": [example_row(arm)]}}


def infer_body(arm: LoadedArm) -> Document:
    """The JSON of /infer, with an example."""
    specs = tensors_of(arm).inputs
    example = example_row(arm) if arm.tensors is None else {}
    if arm.tensors is None:
        tensors = [_tensor(spec, (1,), [example[spec.name]]) for spec in specs if spec.name in example]
    else:
        tensors = [] if _is_large(specs) else [_tensor(spec, _least(spec), _zeros(spec)) for spec in specs]
    names = ", ".join(f"{spec.name} {spec.datatype} {_shape(spec)}" for spec in specs[:_SHOWN])
    inputs = a_list(TENSOR, minItems=1, description=f"The tensors {names}.")
    schema = SCHEMAS["InferRequest"]
    body = {"schema": schema | {"properties": schema["properties"] | {"inputs": inputs}}}
    return body | {"example": {"inputs": tensors}} if tensors else body


def example_row(arm: LoadedArm) -> dict[str, Any]:
    """A row that the model answers: what it must be given, and nothing else."""
    signature = arm.signature
    row: dict[str, Any] = dict.fromkeys(signature.keys)
    for column in signature.request_columns:
        if not column.optional:
            row[column.name] = 1.0 if column.kind == "number" else (*column.categories, "text")[0]
    return row


def _tensor(spec: TensorSpec, shape: Sequence[int], data: Json) -> Document:
    return {"name": spec.name, "shape": [*shape], "datatype": spec.datatype, "data": data}


def _shape(spec: TensorSpec) -> str:
    return f"of shape {[*spec.shape]}, -1 for any" if -1 in spec.shape else f"of shape {[*spec.shape]}"


def _least(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(1 if size == -1 else size for size in spec.shape)


def _is_large(specs: Sequence[TensorSpec]) -> bool:
    """Whether an example would be endless: an image is a hundred thousand zeros."""
    return sum(math.prod(_least(spec)) for spec in specs) > _LONGEST


def _zeros(spec: TensorSpec) -> Json:
    zero: Any = {"BYTES": "text", "BOOL": False}.get(spec.datatype, 0)
    for size in reversed(_least(spec)):
        zero = [zero] * size
    return zero


def _default_of(gateway: Gateway) -> str:
    try:
        return gateway.default()
    except NotFound:  # there are several
        return ""
