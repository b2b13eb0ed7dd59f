"""Whether the server takes calls, as load balancers and Kubernetes ask it.

Source: grpc/grpc-proto, health.proto; grpc/grpc, doc/health-checking.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import NotFound
from esteira.serving.rpc.messages import INFERENCE, MESSAGES, parse

if TYPE_CHECKING:
    from esteira.serving.rpc.service import InferenceService

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
_SERVICES = ("", INFERENCE)  # the empty name is the whole server


def service_of(content: bytes) -> str:
    """The service that a request names. Raises: MalformedMessage."""
    name: str = parse("HealthCheckRequest", content).service
    return name


def status_of(service: InferenceService, name: str) -> int:
    """The status of a service as a watcher is told it, who may wait for one that is not there yet."""
    if name not in _SERVICES:
        return SERVICE_UNKNOWN
    return SERVING if service.is_ready else NOT_SERVING


def check(service: InferenceService, content: bytes) -> bytes:
    """The answer to one question. Raises: MalformedMessage, NotFound (no such service)."""
    name = service_of(content)
    status = status_of(service, name)
    if status == SERVICE_UNKNOWN:
        raise NotFound("service", name[:80], f"there are {INFERENCE} and '', which is the server")
    return answer(status)


def answer(status: int) -> bytes:
    """A status as a message."""
    content: bytes = MESSAGES["HealthCheckResponse"](status=status).SerializeToString()
    return content
