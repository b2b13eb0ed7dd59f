"""What the gateway says about itself and its models: health and metadata of both protocols."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from esteira.serving.http.messages import JSON, Response, json_response
from esteira.serving.http.oip import OUTPUT

if TYPE_CHECKING:
    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request

try:
    VERSION = metadata.version("esteira-ml")
except metadata.PackageNotFoundError:  # a source tree that was not installed
    VERSION = "unknown"


def server(_gateway: Gateway, _request: Request) -> Response:
    """GET /v2"""
    return json_response(200, {"name": "esteira", "version": VERSION, "extensions": []})


def live(_gateway: Gateway, _request: Request) -> Response:
    """GET /v2/health/live: this process answers."""
    return json_response(200, {"live": True})


def ready(gateway: Gateway, _request: Request) -> Response:
    """GET /v2/health/ready: there is a model to ask."""
    is_ready = bool(gateway.live.models)
    return json_response(200 if is_ready else 503, {"ready": is_ready})


def ping(gateway: Gateway, _request: Request) -> Response:
    """GET /ping and /health, as MLflow's server answers them."""
    return Response(200 if gateway.live.models else 404, b"\n", JSON)


def version(_gateway: Gateway, _request: Request) -> Response:
    """GET /version: a bare text that MLflow's server labels JSON."""
    return Response(200, VERSION.encode(), JSON)


def model_ready(gateway: Gateway, request: Request) -> Response:
    """GET /v2/models/{model}[/versions/{version}]/ready. Raises: NotFound, ModelUnavailable."""
    model = gateway.model(request.model)
    if request.version:
        gateway.arm(model, request.version)
    return json_response(200, {"name": request.model, "ready": True})


def model(gateway: Gateway, request: Request) -> Response:
    """GET /v2/models/{model}[/versions/{version}]: tensors, versions, and what could not be loaded.

    Raises: NotFound, ModelUnavailable.
    """
    found = gateway.model(request.model)
    arm = gateway.arm(found, request.version) if request.version else found.champion
    kinds = {column.name: column.kind for column in arm.signature.request_columns}
    parameters: dict[str, Any] = {"route_revision": found.routes.revision}
    failure = gateway.live.failures.get(request.model)
    if failure is not None:
        parameters |= {"failed_revision": failure.revision, "failed_reason": failure.reason}
    document = {
        "name": request.model,
        "versions": sorted(found.by_version, key=int),
        "platform": arm.platform,
        "inputs": [_tensor(name, "FP64" if kinds.get(name) == "number" else "BYTES") for name in arm.fields],
        "outputs": [_tensor(OUTPUT, "FP64")],
        "parameters": parameters,
    }
    return json_response(200, document)


def _tensor(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}
