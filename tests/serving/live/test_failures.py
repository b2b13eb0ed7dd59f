from __future__ import annotations

import logging
import time

import pytest

from esteira.base.errors import EsteiraError
from esteira.serving.live.failures import LONGEST_S, Failures, pause_after
from esteira.serving.telemetry.metrics import Metrics


def test_each_revision_is_said_and_counted_once_and_tried_less_and_less(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    failures = Failures(metrics)
    with caplog.at_level(logging.ERROR, "esteira"):
        for attempt in (1, 2, 3):
            kept = failures.report("late", 2, EsteiraError("no"))
            assert kept.attempts == attempt
            assert kept.retry_at - time.monotonic() == pytest.approx(pause_after(attempt), abs=0.5)
    assert [record.message for record in caplog.records] == ["routes not taken up"]
    assert metrics.read()["esteira_route_failures_total"] == {("late",): [1.0]}
    assert failures.report("late", 3, EsteiraError("no")).attempts == 1


def test_pauses_grow_to_a_limit() -> None:
    pauses = [pause_after(n) for n in range(1, 50)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_S


def test_an_error_that_is_not_ours_is_not_quoted() -> None:
    failures = Failures(Metrics())
    assert "secret" not in failures.report("late", 1, ValueError("secret")).reason


def test_what_failed_just_now_waits_and_is_due_later(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = Failures(Metrics())
    failures.report("late", 1, EsteiraError("no"))
    assert failures.is_waiting("late", 1)
    assert not failures.is_waiting("late", 2)
    assert failures.due() == []
    later = time.monotonic() + 2
    monkeypatch.setattr("esteira.serving.live.failures.time.monotonic", lambda: later)
    assert not failures.is_waiting("late", 1)
    assert failures.due() == ["late"]
    failures.forget("late")
    failures.forget("late")
    assert failures.due() == []
