"""A mirrored request read anew, by the signature of the version that is asked now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import UnknownName
from esteira.base.optional import load
from esteira.serving.http import invocations, oip
from esteira.serving.http.formats import UnfitRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.serving.gateway import Asked
    from esteira.serving.mirroring.messages import Mirrored
    from esteira.serving.work import Work


def work_of(asked: Asked, mirrored: Mirrored) -> Work:
    """What a request asks of a version. Raises: BadInput, UnknownName, FeaturesUnreadable."""
    read = _DOORS.get(mirrored.door)
    if read is None:
        raise UnknownName("protocol", mirrored.door[:80], list(_DOORS))
    return read(asked, mirrored)


def _invocation(asked: Asked, mirrored: Mirrored) -> Work:
    kind = invocations.content_kind(mirrored.header)
    if kind is None:
        raise UnfitRows(f"a body of {str(mirrored.header)[:80]} cannot be read; send JSON")
    return invocations.work_of(asked, kind, mirrored.body)


def _inference(asked: Asked, mirrored: Mirrored) -> Work:
    infer, raw = oip.read(mirrored.body, mirrored.header)
    return oip.work_of(asked, infer, raw)


def _call(asked: Asked, mirrored: Mirrored) -> Work:
    # Only a gateway that has gRPC mirrors its calls, and only then is its library there.
    work: Work = load("esteira.serving.rpc.inference:work_of_bytes")(asked, mirrored.body)
    return work


_DOORS: Mapping[str, Callable[[Asked, Mirrored], Work]] = {
    "mlflow": _invocation,
    "oip": _inference,
    "grpc": _call,
}
