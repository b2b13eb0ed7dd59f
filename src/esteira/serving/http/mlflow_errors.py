"""Errors in the shape of MLflow's scoring server, without the stack traces that it sometimes sends.

Source: mlflow.exceptions, version 3; the pairs of `sqlstate` and `error_class` are those of its answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.serving.http.formats import UnfitRows

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 1000  # characters of a message: it quotes what was sent

# Status → error_code, sqlstate, error_class; MLflow knows no such pair for the empty ones.
_OF_STATUS: Mapping[int, tuple[str, str, str]] = {
    401: ("UNAUTHENTICATED", "", ""),
    403: ("PERMISSION_DENIED", "KAM00", "PERMISSION_DENIED"),
    404: ("RESOURCE_DOES_NOT_EXIST", "KAM00", "RESOURCE_NOT_FOUND"),
    429: ("REQUEST_LIMIT_EXCEEDED", "", ""),
    500: ("INTERNAL_ERROR", "XXM00", "CLIENT_INTERNAL_ERROR"),
    503: ("TEMPORARILY_UNAVAILABLE", "XXM00", "CLIENT_INTERNAL_ERROR"),
}
_BAD = ("BAD_REQUEST", "KAM00", "INVALID_PARAMETER_VALUE")
_UNFIT = ("INVALID_PARAMETER_VALUE", "KAM01", "SCHEMA_ENFORCEMENT_FAILED")


def mlflow_error(status: int, message: str, raised: Exception | None = None) -> dict[str, str]:
    """The body of an error. MLflow tells bodies that it cannot read from rows that are not the model's.

    >>> mlflow_error(404, "model 'late' does not exist")["error_code"]
    'RESOURCE_DOES_NOT_EXIST'
    """
    code, state, kind = _UNFIT if isinstance(raised, UnfitRows) else _OF_STATUS.get(status, _BAD)
    document = {"error_code": code, "message": message[:LONGEST]}
    return {**document, "sqlstate": state, "error_class": kind} if state else document
