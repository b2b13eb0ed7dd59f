"""What the gateway says about itself and its models: health and metadata of both protocols."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.http.binary import EXTENSION as BINARY
from esteira.serving.http.messages import JSON, Response, json_response
from esteira.serving.http.oip import OUTPUT

if TYPE_CHECKING:
    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request
    from esteira.serving.live.arms import LoadedArm

EXTENSIONS = (BINARY, "model_repository")

try:
    VERSION = metadata.version("esteira-ml")
except metadata.PackageNotFoundError:  # a source tree that was not installed
    VERSION = "unknown"


def server(_gateway: Gateway, _request: Request) -> Response:
    """GET /v2"""
    return json_response(200, {"name": "esteira", "version": VERSION, "extensions": [*EXTENSIONS]})


def live(_gateway: Gateway, _request: Request) -> Response:
    """GET /v2/health/live: this process answers."""
    return json_response(200, {"live": True})


def ready(gateway: Gateway, _request: Request) -> Response:
    """GET /v2/health/ready: there is a model to ask, and the gateway is not ending."""
    is_ready = gateway.live.is_ready()
    return json_response(200 if is_ready else 503, {"ready": is_ready})


def ping(gateway: Gateway, _request: Request) -> Response:
    """GET /ping and /health, as MLflow's server answers them."""
    return Response(200 if gateway.live.is_ready() else 404, b"\n", JSON)


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
    tensors = tensors_of(arm)
    parameters: dict[str, Any] = {"route_revision": found.routes.revision}
    failure = gateway.live.failures.get(request.model)
    if failure is not None:
        parameters |= {"failed_revision": failure.revision, "failed_reason": failure.reason}
    document = {
        "name": request.model,
        "versions": sorted(found.by_version, key=int),
        "platform": arm.platform,
        "inputs": [_plain(spec) for spec in tensors.inputs],
        "outputs": [_plain(spec) for spec in tensors.outputs],
        "parameters": parameters,
    }
    return json_response(200, document)


def tensors_of(arm: LoadedArm) -> TensorSignature:
    """The tensors that a version takes and gives: of a model of columns, one for each field of a request."""
    if arm.tensors is not None:
        return arm.tensors
    numbers = {column.name for column in arm.signature.request_columns if column.kind == "number"}
    inputs = (TensorSpec(name, "FP64" if name in numbers else "BYTES", (-1,)) for name in arm.fields)
    return TensorSignature(tuple(inputs), (TensorSpec(OUTPUT, "FP64", (-1,)),))


def _plain(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": [*spec.shape]}
