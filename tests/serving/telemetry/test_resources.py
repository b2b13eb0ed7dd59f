from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tests.serving.telemetry.exchanges import exchange

import esteira
from esteira.serving.telemetry.metrics import Metrics
from esteira.serving.telemetry.resources import Meter, gpu_bytes, resident_bytes
from esteira.serving.telemetry.traces import Traces

if TYPE_CHECKING:
    import pytest


def test_a_worker_says_what_its_process_takes_and_what_runs() -> None:
    metrics = Metrics(worker="w7")
    Meter(metrics).tick()
    found = metrics.read()
    assert found["esteira_worker_cpu_seconds_total"]["w7",][0] > 0
    assert 1_000_000 < found["esteira_worker_memory_bytes"]["w7",][0] < 1e12
    [(version, _python)] = found["esteira_build_info"]
    assert version == esteira.__version__


def test_it_measures_once_in_a_while_however_often_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira.serving.telemetry.resources.EVERY_S", 3600.0)
    metrics = Metrics(worker="w7")
    meter = Meter(metrics)
    meter.tick()
    first = metrics.read()["esteira_worker_cpu_seconds_total"]
    sum(range(100_000))
    meter.tick()
    assert metrics.read()["esteira_worker_cpu_seconds_total"] == first


def test_what_observers_left_out_is_counted() -> None:
    metrics, traces = Metrics(), Traces(1.0, capacity=0)
    traces.answered(exchange())
    Meter(metrics, [traces]).tick()
    assert metrics.read()["esteira_observer_dropped_total"] == {("traces",): [1.0]}


def test_memory_that_is_taken_is_seen() -> None:
    before = resident_bytes()
    taken = bytearray(64 * 1024 * 1024)
    taken[::4096] = b"x" * len(taken[::4096])
    assert resident_bytes() - before > 32 * 1024 * 1024


def test_without_torch_in_memory_no_gpu_is_asked_and_none_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert gpu_bytes() == {}
    assert "torch" not in sys.modules


def test_each_device_says_what_this_process_takes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 2, memory_reserved=lambda at: 1000 + at
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert gpu_bytes() == {"cuda:0": 1000, "cuda:1": 1001}
    metrics = Metrics(worker="w7")
    Meter(metrics).tick()
    assert metrics.read()["esteira_gpu_memory_bytes"]["w7", "cuda:1"] == [1001.0]


def test_a_torch_without_a_gpu_or_half_loaded_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    assert gpu_bytes() == {}
    cuda = SimpleNamespace(is_available=lambda: False)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert gpu_bytes() == {}
