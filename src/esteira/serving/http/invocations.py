"""MLflow's scoring protocol: POST /invocations with frames, records or named inputs.

Source: mlflow.pyfunc.scoring_server, version 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from esteira.serving.gateway import encode
from esteira.serving.http.arrays import tensors_of_json
from esteira.serving.http.formats import UnfitRows, rows_of_csv, rows_of_json
from esteira.serving.http.messages import JSON, TEXT, Pending, Response
from esteira.serving.http.oip import KEY_HEADER
from esteira.serving.http.parquet import rows_of_parquet
from esteira.serving.work import ColumnsWork, refuse_many

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esteira.registry.signature import Signature
    from esteira.serving.gateway import Answer, Asked, Gateway
    from esteira.serving.http.messages import Request
    from esteira.serving.work import Work

    Rows = Sequence[dict[str, Any]]

ID_HEADER, KIND_HEADER = "x-esteira-id", "content-type"
_READERS: dict[str, Callable[[bytes, Signature], Rows]] = {
    JSON: rows_of_json,
    "text/csv": rows_of_csv,
    "application/vnd.apache.parquet": rows_of_parquet,
}

_encode = msgspec.json.Encoder(enc_hook=lambda array: array.tolist()).encode


def invoke(gateway: Gateway, request: Request) -> Response | Pending:
    """Answer POST /invocations with the gateway's default model. Raises: BadInput, NotFound."""
    get = request.headers.get
    said = get(KIND_HEADER)
    kind = content_kind(said)
    if kind is None:
        return Response(415, f"send one of {', '.join(_READERS)}, found {str(said)[:80]}".encode(), TEXT)
    name, key = get(ID_HEADER) or "", get(KEY_HEADER) or ""
    request.tried = asked = gateway.ask(gateway.default(), name, key, headers=request.headers)
    return Pending(request, asked, work_of(asked, kind, request.body), _reply)


def content_kind(said: str | None) -> str | None:
    """The content type that a header says, None for one that is not spoken.

    >>> content_kind("Text/CSV; charset=utf-8"), content_kind(None)
    ('text/csv', 'application/json')
    """
    if not said or said == JSON:
        return JSON
    kind, _, parameter = said.lower().replace(" ", "").partition(";")
    return kind if kind in _READERS and parameter in {"", "charset=utf-8"} else None


def work_of(asked: Asked, kind: str, body: bytes) -> Work:
    """What a body of a content type asks of a version. Raises: BadInput, FeaturesUnreadable."""
    loaded = asked.loaded
    if loaded.tensors is not None:
        if kind != JSON:
            raise UnfitRows(f"the model takes tensors, which {kind} has not; send {JSON}")
        return loaded.tensors_work(tensors_of_json(body, loaded.tensors))
    if kind != JSON:
        return ColumnsWork(encode(asked, _READERS[kind](body, loaded.signature)))
    decoder = loaded.decoder
    rows: Rows | None = None
    if decoder.is_direct:
        vectors = decoder.numbers(body)
        if vectors is not None:
            refuse_many(len(vectors))
            return ColumnsWork(vectors)
    else:
        rows = decoder.values(body)
    return ColumnsWork(encode(asked, rows_of_json(body, loaded.signature) if rows is None else rows))


def _reply(answer: Answer) -> Response:
    headers = (
        (ID_HEADER, answer.id),
        ("x-esteira-version", answer.version),
        ("x-esteira-arm", answer.arm),
    )
    predictions: Any = answer.scores
    if answer.outputs is not None:
        outputs = answer.outputs
        predictions = next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
    return Response(200, _encode({"predictions": predictions}), JSON, headers, answer)
