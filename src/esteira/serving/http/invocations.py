"""MLflow's scoring protocol: POST /invocations with frames, records or named inputs.

Source: mlflow.pyfunc.scoring_server, version 3.
"""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.errors import BadInput, NotFound
from esteira.serving.gateway import Question
from esteira.serving.http.decoding import MalformedBody, decode
from esteira.serving.http.messages import JSON, TEXT, Response
from esteira.serving.http.oip import KEY_HEADER

if TYPE_CHECKING:
    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request

    Rows = list[dict[str, Any]]

ID_HEADER = "x-esteira-id"
CSV = "text/csv"
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """A frame as its columns and its rows."""

    data: list[list[Any]]
    columns: list[str]
    index: list[Any] | None = None


class Invocation(msgspec.Struct, forbid_unknown_fields=True):
    """The body: exactly one of the formats."""

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: list[dict[str, Any]] | None = None
    inputs: dict[str, Any] | list[dict[str, Any]] | None = None
    params: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(Invocation)
_encode = msgspec.json.Encoder().encode


def invoke(gateway: Gateway, request: Request) -> Response:
    """Answer POST /invocations with the gateway's default model. Raises: BadInput, NotFound."""
    content_type = (request.headers.get("content-type") or JSON).lower().replace(" ", "")
    kind, _, parameter = content_type.partition(";")
    if kind not in {JSON, CSV} or parameter not in {"", "charset=utf-8"}:
        return Response(415, f"send {JSON} or {CSV}, found {content_type[:80]}".encode(), TEXT)
    model = _default_model(gateway)
    rows = _from_csv(gateway, model, request.body) if kind == CSV else _from_json(request.body)
    get = request.headers.get
    answer = gateway.predict(Question(model, rows, get(ID_HEADER) or "", get(KEY_HEADER) or ""))
    headers = (
        (ID_HEADER, answer.id),
        ("x-esteira-version", answer.version),
        ("x-esteira-arm", answer.arm),
    )
    return Response(200, _encode({"predictions": answer.scores}), JSON, headers, answer)


def _default_model(gateway: Gateway) -> str:
    served = sorted(gateway.live.models)
    if gateway.default_model in served or not served:
        return gateway.default_model
    if len(served) > 1:
        raise NotFound("a default model", "", f"ask /v2/models/NAME/infer for one of {', '.join(served)}")
    return served[0]


def _from_json(body: bytes) -> Rows:
    asked = decode(_decoder, body)
    given = [name for name in FORMATS if getattr(asked, name) is not None]
    if len(given) != 1:
        raise MalformedBody(f"send exactly one of {', '.join(FORMATS)}, found {', '.join(given) or 'none'}")
    if asked.dataframe_split is not None:
        return _from_split(asked.dataframe_split)
    if isinstance(asked.inputs, dict):
        return _from_columns(asked.inputs)
    return asked.dataframe_records or asked.instances or asked.inputs or []


def _from_split(split: Split) -> Rows:
    for number, row in enumerate(split.data):
        if len(row) != len(split.columns):
            raise MalformedBody(f"row {number} has {len(row)} values for {len(split.columns)} columns")
    return [dict(zip(split.columns, row, strict=True)) for row in split.data]


def _from_columns(inputs: dict[str, Any]) -> Rows:
    columns = {name: values if isinstance(values, list) else [values] for name, values in inputs.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise MalformedBody(f"inputs differ in length: {lengths}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _from_csv(gateway: Gateway, model: str, body: bytes) -> Rows:
    signature = gateway.model(model).champion.signature
    requested = signature.request_columns
    texts = {column.name for column in requested if column.kind == "category"} | {*signature.keys}
    try:
        names, *lines = csv.reader(StringIO(body.decode(), newline=""))
    except (ValueError, csv.Error) as wrong:
        raise MalformedBody(f"the body is not CSV with a header: {wrong}") from wrong
    rows = []
    for number, line in enumerate(lines):
        if len(line) != len(names):
            raise MalformedBody(f"row {number} has {len(line)} values for {len(names)} columns")
        pairs = zip(names, line, strict=True)
        rows.append({name: text if name in texts else _number(name, text) for name, text in pairs})
    return rows


def _number(name: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as wrong:
        raise BadInput(f"column {name!r} must be a number, found {text[:40]!r}") from wrong
