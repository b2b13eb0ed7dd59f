from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.gatewayed import Gatewayed

import esteira.web.pulse as defining
from esteira.serving.telemetry.metrics import Metrics
from esteira.serving.telemetry.snapshot import snapshot_of
from esteira.web.pulse import EVERY_S, SHOWN_S, WINDOW_S, Pulse, Pulses, since

if TYPE_CHECKING:
    from pathlib import Path


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def ask(metrics: Metrics, times: int, code: str = "200", model: str = "late") -> None:
    for _ in range(times):
        metrics.requests.add((model, "1", "champion", "oip", code))
        metrics.request_seconds.observe((model, "oip"), 0.003)


def test_one_look_knows_what_was_and_no_rate(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, "w1")
    ask(metrics, 5)
    pulse = Pulse(tmp_path, Hand())
    assert (pulse.recent().whole, pulse.points()) == ({}, ())
    pulse.look()
    assert snapshot_of(pulse.recent().whole, 0, 1).models["late"].requests == 5
    assert pulse.recent().seconds == 0
    assert pulse.points() == ()


def test_between_two_looks_lies_a_rate(tmp_path: Path) -> None:
    metrics, clock = Metrics(tmp_path, "w1"), Hand()
    ask(metrics, 5)
    pulse = Pulse(tmp_path, clock)
    pulse.look()
    ask(metrics, 6)
    ask(metrics, 2, "500", "early")
    clock.now += 2
    pulse.look()
    (point,) = pulse.points()
    assert (point.by_model, point.failed, point.total) == ({"late": 3.0, "early": 1.0}, 1.0, 4.0)
    fresh = snapshot_of(pulse.recent().fresh, 0, 1).models["late"]
    assert (fresh.requests, pulse.recent().seconds) == (6, 2)
    assert fresh.latency(0.5) is not None


def test_who_looks_again_at_once_sees_the_same(tmp_path: Path) -> None:
    metrics, clock = Metrics(tmp_path, "w1"), Hand()
    pulse = Pulse(tmp_path, clock)
    pulse.look()
    ask(metrics, 5)
    clock.now += EVERY_S / 4
    pulse.look()
    assert pulse.recent().seconds == 0
    assert pulse.points() == ()


def test_what_is_told_is_of_the_last_minute_and_what_is_drawn_of_the_last_five(tmp_path: Path) -> None:
    metrics, clock = Metrics(tmp_path, "w1"), Hand()
    pulse = Pulse(tmp_path, clock)
    for _ in range(400):
        pulse.look()
        ask(metrics, 3)
        clock.now += EVERY_S
    recent = pulse.recent()
    assert WINDOW_S <= recent.seconds < WINDOW_S + 12
    answered = snapshot_of(recent.fresh, 0, 1).models["late"].requests
    assert answered / recent.seconds == pytest.approx(3 / EVERY_S)
    ages = [clock.now - each.at_s for each in pulse.points()]
    assert max(ages) <= SHOWN_S + EVERY_S
    assert len(ages) == pytest.approx(SHOWN_S / EVERY_S, abs=2)


def test_counters_that_went_back_begin_anew(tmp_path: Path) -> None:
    metrics, clock = Metrics(tmp_path, "w1"), Hand()
    ask(metrics, 5)
    pulse = Pulse(tmp_path, clock)
    pulse.look()
    for path in tmp_path.iterdir():
        path.unlink()
    ask(Metrics(tmp_path, "w2"), 1)
    clock.now += 2
    pulse.look()
    assert pulse.points() == ()
    assert pulse.recent().seconds == 0
    assert snapshot_of(pulse.recent().whole, 0, 1).models["late"].requests == 1


COUNTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 40))


@given(COUNTS, COUNTS)
def test_what_was_and_what_came_make_what_is(before: dict[str, int], came: dict[str, int]) -> None:
    metrics = Metrics()
    for name, count in before.items():
        ask(metrics, count, model=name)
    then = metrics.read()
    for name, count in came.items():
        ask(metrics, count, model=name)
    now = metrics.read()
    changed = snapshot_of(since(then, now) or {}, 0, 1).models
    assert {name: each.requests for name, each in changed.items() if each.requests} == {
        name: count for name, count in came.items() if count
    }
    assert (since(now, then) is None) == any(name in before and before[name] and came[name] for name in came)


def test_a_gateway_that_was_started_anew_has_a_pulse_of_its_own(tmp_path: Path) -> None:
    world = Gatewayed(tmp_path / "p")
    pulses = Pulses(world.station.settings)
    from esteira.web.gateways import gateways

    (first,) = gateways(world.station.settings).running
    assert pulses.of(first) is pulses.of(first)
    world.end()
    pulses.look()
    assert pulses._by_gateway == {}


def test_a_site_that_runs_looks_by_itself_and_survives_what_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defining, "EVERY_S", 0.01)
    world, looked, failed = Gatewayed(tmp_path / "p"), threading.Event(), threading.Event()
    pulses = Pulses(world.station.settings)

    def broken() -> None:
        if failed.is_set():
            looked.set()
        failed.set()
        raise RuntimeError("a folder that nobody can read")

    monkeypatch.setattr(pulses, "look", broken)
    pulses.watch()
    assert looked.wait(10)
    pulses.close()
    world.end()
