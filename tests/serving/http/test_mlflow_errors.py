from __future__ import annotations

import pytest

from esteira.base.errors import BadInput
from esteira.serving.http.formats import UnfitRows
from esteira.serving.http.mlflow_errors import LONGEST, mlflow_error


@pytest.mark.parametrize(
    ("status", "raised", "code"),
    [
        (400, None, "BAD_REQUEST"),
        (400, BadInput("x"), "BAD_REQUEST"),
        (400, UnfitRows("x"), "INVALID_PARAMETER_VALUE"),
        (401, None, "UNAUTHENTICATED"),
        (413, None, "BAD_REQUEST"),
        (500, ValueError("x"), "INTERNAL_ERROR"),
    ],
)
def test_a_code_says_what_kind_of_error_it_is(status: int, raised: Exception | None, code: str) -> None:
    assert mlflow_error(status, "m", raised)["error_code"] == code


def test_sqlstates_are_those_of_mlflow_itself() -> None:
    from mlflow import exceptions
    from mlflow.protos import databricks_pb2

    for status in (400, 401, 403, 404, 429, 500, 503):
        found = mlflow_error(status, "m")
        code = databricks_pb2.ErrorCode.Value(found["error_code"])
        theirs = exceptions.MlflowException("m", error_code=code)
        assert found.get("sqlstate") == theirs.sqlstate
        assert found.get("error_class") == theirs.error_class


def test_a_message_has_an_end() -> None:
    assert len(mlflow_error(400, "x" * 5000)["message"]) == LONGEST
