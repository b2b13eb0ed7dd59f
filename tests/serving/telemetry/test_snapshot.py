from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.telemetry.families import SECONDS
from esteira.serving.telemetry.metrics import Metrics
from esteira.serving.telemetry.snapshot import (
    ModelNumbers,
    rates,
    read_snapshot,
    running,
    snapshot_of,
)

if TYPE_CHECKING:
    from pathlib import Path


def _counted(metrics: Metrics, model: str, seconds: list[float], code: str = "200") -> None:
    for each in seconds:
        metrics.requests.add((model, "1", "champion", "oip", code))
        metrics.request_seconds.observe((model, "oip"), each)


def test_a_snapshot_says_what_every_model_did_on_all_workers(tmp_path: Path) -> None:
    one, other = Metrics(tmp_path, "w1"), Metrics(tmp_path, "w2")
    for metrics in (one, other):
        _counted(metrics, "late", [0.003] * 9)
        _counted(metrics, "late", [0.02], "500")
        metrics.refused.add(("late", "queue"), 2)
        metrics.cpu_seconds.add(("late", "1"), 0.5)
        metrics.model_memory.set(("late", "1"), 1000)
        metrics.queue_depth.set(("late",), 3)
        metrics.model_info.set(("late", "1", "champion", "ab"), 1)
        metrics.model_info.set(("late", "0", "champion", "aa"), 0)
        metrics.in_flight.add((), 1)
        metrics.worker_memory.set((metrics.worker,), 10)
    one.requests.add(("", "", "", "oip", "404"))
    seen = read_snapshot(tmp_path, 5.0)
    late = seen.models["late"]
    assert (seen.at_s, seen.workers, seen.in_flight, seen.memory_bytes) == (5.0, 2, 2.0, 20.0)
    assert (late.requests, late.errors, late.refused) == (20.0, 2.0, 4.0)
    assert (late.cpu_seconds, late.memory_bytes, late.queued_rows) == (1.0, 2000.0, 6.0)
    assert late.versions == ("1",)
    assert late.latency(0.5) == pytest.approx(0.0035, abs=0.0015)
    assert seen.models[""].requests == 1.0
    assert seen.models[""].latency(0.5) is None


def test_rates_are_of_the_time_between_two_snapshots(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, "w1")
    _counted(metrics, "late", [0.9] * 50)
    before = read_snapshot(tmp_path, 10.0)
    _counted(metrics, "late", [0.0015] * 20)
    _counted(metrics, "early", [0.04] * 4, "503")
    metrics.cpu_seconds.add(("late", "1"), 1.0)
    found = rates(before, read_snapshot(tmp_path, 12.0))
    assert (found["late"].requests, found["late"].errors, found["late"].cpu) == (10.0, 0.0, 0.5)
    assert found["late"].p99_s is not None
    assert 0.001 <= found["late"].p99_s <= 0.002
    assert (found["early"].requests, found["early"].errors) == (2.0, 2.0)


def test_a_gateway_that_was_started_anew_between_has_no_rates() -> None:
    metrics = Metrics()
    _counted(metrics, "late", [0.1] * 5)
    before = snapshot_of(metrics.read(), 1.0, 1)
    anew = Metrics()
    _counted(anew, "late", [0.1])
    assert rates(before, snapshot_of(anew.read(), 2.0, 1)) == {}
    assert rates(before, before) == {}


def test_a_model_that_left_memory_keeps_what_it_counted_and_takes_nothing() -> None:
    metrics = Metrics()
    _counted(metrics, "late", [0.1])
    metrics.model_memory.set(("late", "1"), 1000)
    metrics.model_memory.forget(("late", "1"))
    late = snapshot_of(metrics.read(), 1.0, 1).models["late"]
    assert (late.requests, late.memory_bytes) == (1.0, 0.0)


def test_only_gateways_that_run_are_found(tmp_path: Path) -> None:
    living = Metrics(tmp_path / "gateway" / "8080", "w1")
    dead = Metrics(tmp_path / "gateway" / "9090", "w1")
    dead.close()
    (tmp_path / "gateway" / "note").mkdir()
    assert running(tmp_path) == [8080]
    assert running(tmp_path / "nothing") == []
    living.close()
    assert read_snapshot(tmp_path / "gateway" / "9090", 0.0).workers == 0


COUNTS = st.lists(st.integers(0, 50), min_size=len(SECONDS) + 1, max_size=len(SECONDS) + 1)


@given(COUNTS, COUNTS)
def test_what_came_since_and_what_was_before_make_what_is(before: list[int], since: list[int]) -> None:
    old = ModelNumbers("m", requests=sum(before), durations=[*before, 1.0])
    both = [one + other for one, other in zip(before, since, strict=True)]
    change = ModelNumbers("m", requests=sum(both), durations=[*both, 3.0]).since(old)
    assert change.requests == sum(since)
    assert list(change.durations) == [*since, 2.0]
    expected = ModelNumbers("m", durations=[*since, 2.0])
    assert [change.latency(share) for share in (0.1, 0.5, 1.0)] == [
        expected.latency(share) for share in (0.1, 0.5, 1.0)
    ]
