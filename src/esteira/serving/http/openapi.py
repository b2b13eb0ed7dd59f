"""GET /openapi.json: every route of the gateway in OpenAPI 3.1, with what it takes and answers, errors too.

What one model takes and gives is in its own document: http/model_openapi.py.
Source: OpenAPI Specification 3.1.0.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from esteira.serving.access.roles import ADMIN, NOBODY, OBSERVE, PREDICT, REPORT, ROLES
from esteira.serving.gateway import LONGEST_NAME
from esteira.serving.http.invocations import ID_HEADER
from esteira.serving.http.messages import JSON, json_response
from esteira.serving.http.models import VERSION
from esteira.serving.http.oip import KEY_HEADER
from esteira.serving.http.openapi_schemas import SCHEMAS, reference
from esteira.serving.splitting import ARM_HEADER, SEGMENT_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request, Response

    Document = dict[str, Any]

BASE = "/v2/models/{model}"
PINNED = "/v2/models/{model}/versions/{version}"
RESPONSES: Mapping[int, str] = {
    200: "the answer",
    202: "accepted",
    400: "what was sent cannot be used; the message says what was expected, found, and the mend",
    401: "no valid key",
    403: "a key that is not for this",
    404: "there is no such thing",
    408: "the body did not come in time",
    409: "a rollout of this model is under way",
    413: "the body is too large",
    415: "a content type that is not spoken",
    429: "too many requests for this model; Retry-After says when to come back",
    503: "not now: nothing is loaded, a store does not answer, or the gateway is overloaded",
    504: "the model did not answer in time",
}
# What a request to a model may say besides its body.
_HEADERS: Mapping[str, str] = {
    KEY_HEADER: "What the split is sticky by, such as a customer; the prediction's id when absent.",
    SEGMENT_HEADER: "The segment that the request is of: a rollout may split the requests of some alone.",
    ARM_HEADER: "An arm by its name, instead of the split; one that is not there is ignored.",
}
_KEYED = (401, 403, 503)
_BODY = (400, 408, 413)
_SCORED = (429, 504)
_NAME = {"type": "string", "maxLength": LONGEST_NAME}
_KEYS: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]


class Operation(NamedTuple):
    """What one method does on one path."""

    method: str
    path: str
    need: str  # the role that it takes
    summary: str
    statuses: tuple[int, ...]  # besides those that every route with a key has
    answer: str  # a schema, or another content type than JSON
    body: str = ""  # a schema
    others: tuple[str, ...] = ()  # content types of the body besides JSON

    @property
    def protocol(self) -> str:
        """How its errors look."""
        return "mlflow" if self.path in {"/invocations", "/ping", "/health", "/version"} else "oip"

    @property
    def asks_a_model(self) -> bool:
        """Whether its answer is a prediction."""
        return 429 in self.statuses


def _of_model(
    method: str, verb: str, summary: str, statuses: tuple[int, ...], answer: str, body: str = ""
) -> Iterable[Operation]:
    need = OBSERVE if verb == "/openapi.json" else PREDICT
    for path, of in ((BASE, ""), (PINNED, ", of one version")):
        yield Operation(method, path + verb, need, summary + of, (404, *statuses), answer, body)


_FRAMES = ("text/csv", "application/vnd.apache.parquet")
OPERATIONS: tuple[Operation, ...] = (
    Operation("get", "/v2", PREDICT, "The server and its extensions", (200,), "Server"),
    Operation("get", "/v2/health/live", NOBODY, "This process answers", (200,), "Live"),
    Operation("get", "/v2/health/ready", NOBODY, "There is a model to ask", (200, 503), "Ready"),
    *_of_model("get", "", "A model: its tensors and versions", (200,), "Model"),
    *_of_model("get", "/ready", "Whether a model answers", (200,), "ModelReady"),
    *_of_model("get", "/openapi.json", "What a model takes and gives", (200,), "Any"),
    *_of_model("post", "/infer", "Ask a model", (200, *_BODY, *_SCORED), "InferResponse", "InferRequest"),
    Operation("post", "/v2/repository/index", OBSERVE, "Every version", (200, *_BODY), "Index", "Any"),
    Operation(
        "post",
        "/v2/repository/models/{model}/load",
        ADMIN,
        "Deploy a version, or let a model back into memory",
        (200, 202, 404, 409, *_BODY),
        "Change",
        "Change",
    ),
    Operation(
        "post",
        "/v2/repository/models/{model}/unload",
        ADMIN,
        "Take a model out of memory",
        (200, 202, 404, *_BODY),
        "Change",
        "Change",
    ),
    Operation(
        "post",
        "/invocations",
        PREDICT,
        "Ask the default model, as MLflow's clients do",
        (200, 404, 415, *_BODY, *_SCORED),
        "Predictions",
        "Invocation",
        _FRAMES,
    ),
    Operation("get", "/ping", NOBODY, "Whether there is a model to ask; as MLflow", (200, 404), "Bare"),
    Operation("get", "/health", NOBODY, "The same as /ping", (200, 404), "Bare"),
    Operation("get", "/version", PREDICT, "The version of the gateway; as MLflow", (200,), "Bare"),
    Operation("get", "/features", PREDICT, "The views of the online store", (200,), "Any"),
    Operation("post", "/features", PREDICT, "Read features", (200, 404, *_BODY), "Features", "Read"),
    Operation(
        "get",
        "/features/{view}",
        PREDICT,
        "Features of one entity; its keys as query",
        (200, 400, 404),
        "Features",
    ),
    Operation(
        "post", "/features/{view}", PREDICT, "Features of a view", (200, 404, *_BODY), "Features", "Read"
    ),
    Operation("get", "/push", REPORT, "The tables that take rows", (200,), "Any"),
    Operation("post", "/push/{table}", REPORT, "Rows for a table", (202, 404, *_BODY), "Accepted", "Rows"),
    Operation("post", "/labels", REPORT, "The truth about predictions", (202, *_BODY), "Accepted", "Labels"),
    Operation("get", "/metrics", OBSERVE, "Metrics, as Prometheus reads them", (200,), "text/plain"),
    Operation("get", "/openapi.json", NOBODY, "This document", (200,), "Any"),
)


def openapi(_gateway: Gateway, _request: Request) -> Response:
    """GET /openapi.json"""
    return json_response(200, gateway_document())


@cache
def gateway_document() -> Document:
    """The document of every route; a model stands in the path as a parameter.

    >>> gateway_document()["openapi"]
    '3.1.0'
    """
    paths: dict[str, Document] = {}
    for each in OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = operation_of(each)
    return document_of("esteira gateway", "One gateway for the models of a project.", paths)


def document_of(title: str, description: str, paths: Mapping[str, Document]) -> Document:
    """A document around its paths."""
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key."},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": VERSION},
        "paths": dict(paths),
        "components": {"schemas": dict(SCHEMAS), "securitySchemes": schemes},
    }


def operation_of(each: Operation, body: Document | None = None) -> Document:
    """An operation; `body` stands for its schema where that is known better."""
    statuses = sorted({*each.statuses, *(_KEYED if each.need != NOBODY else ())})
    found: Document = {
        "operationId": f"{each.method} {each.path}",
        "summary": each.summary,
        "responses": {str(status): _response(each, status) for status in statuses},
        # A gateway with `access = "open"` asks for keys only where something is changed.
        "security": [] if each.need == NOBODY else [*_KEYS, *([] if each.need == ADMIN else [{}])],
    }
    if each.need != NOBODY:
        found["description"] = f"Takes the role `{each.need}`: {ROLES[each.need]}."
    parameters = parameters_of(each)
    if parameters:
        found["parameters"] = parameters
    if each.body:
        content: Document = {JSON: body or {"schema": reference(each.body)}}
        content |= {kind: {} for kind in each.others}
        found["requestBody"] = {"required": each.body not in {"Any", "Change"}, "content": content}
    return found


def parameters_of(each: Operation) -> list[Document]:
    """The holes of an operation's path, and the headers that it follows."""
    found: list[Document] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", each.path)
    ]
    if each.asks_a_model:
        headers = dict(_HEADERS)
        if each.protocol == "mlflow":
            headers = {ID_HEADER: "The prediction's id; made when absent.", **headers}
        found += [
            {"name": name, "in": "header", "description": said, "schema": _NAME}
            for name, said in headers.items()
        ]
    return found


def _response(each: Operation, status: int) -> Document:
    if status == 415:
        return {"description": RESPONSES[status], "content": {"text/plain": {}}}
    if status < 300 or (each.answer in {"Bare", "Ready"} and status in {404, 503} and each.need == NOBODY):
        kind, name = (each.answer, "") if "/" in each.answer else (JSON, each.answer)
        schema = {"schema": reference(name)} if name not in {"", "Bare"} else {}
        return {"description": RESPONSES[status], "content": {kind: schema}}
    error = "MlflowError" if each.protocol == "mlflow" else "Error"
    return {"description": RESPONSES[status], "content": {JSON: {"schema": reference(error)}}}
