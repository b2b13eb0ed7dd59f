"""What callers are told of an error, and what only the log says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import BadInput, CheckFailed, NotFound, StorageUnwritable
from esteira.serving.access.guard import NotAuthenticated
from esteira.serving.deployments import NoAuditTrail
from esteira.serving.refusals import INTERNAL, STORE, Refusals

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR, "esteira.serving.refusals"):
        yield


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (BadInput("no number"), 400, "no number"),
        (NotFound("model", "late"), 404, "model 'late' does not exist"),
        (NotAuthenticated(), 401, str(NotAuthenticated())),
        (NoAuditTrail(), 503, str(NoAuditTrail())),
        (CheckFailed("secret"), 503, STORE),
        (StorageUnwritable("/srv/secret", "full"), 503, STORE),
        (ZeroDivisionError("secret"), 500, INTERNAL),
    ],
)
def test_an_error_has_a_status_and_says_what_its_caller_may_know(
    raised: Exception, status: int, message: str
) -> None:
    assert Refusals().of(raised) == (status, message)


def test_a_store_that_stays_away_is_logged_once_until_another_reason_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    for place in ("a", "a", "a", "b"):
        refusals.of(StorageUnwritable(place, "full"))
    said = [each.reason for each in caplog.records]
    assert [each[:17] for each in said] == ["cannot write to a", "cannot write to b"]


def test_an_error_that_is_not_ours_is_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    Refusals().of(ZeroDivisionError("by nothing"))
    assert "by nothing" in caplog.text
