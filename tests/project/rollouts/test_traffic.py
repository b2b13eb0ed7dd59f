from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.web.rolled import ASKED, active, rolled_once
from tests.web.stations import copy_of, lived

from esteira.base.clock import to_micros
from esteira.base.records import Prediction
from esteira.monitoring.failure_log import SHADOW_FAILURES, FailedRequest, FailureLog
from esteira.monitoring.prediction_log import SHADOWS, PredictionLog
from esteira.project.ring import Ring
from esteira.project.rollouts.rolling import abort, start_rollout
from esteira.project.rollouts.traffic import traffic_of
from esteira.project.station import Station, open_station
from esteira.serving.rollout.strategies import Shadow

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return rolled_once(tmp_path_factory.getbasetemp())


def test_every_request_counts_once_answered_or_not(station: Station) -> None:
    seen = traffic_of(station, active(station), station.clock.now())
    assert seen.champion.requests + seen.challenger.requests == ASKED
    assert seen.champion.errors + seen.challenger.errors == len(range(7, ASKED, 400))
    assert len(seen.challenger.scores) == seen.challenger.requests - seen.challenger.errors
    assert seen.asked_in_step == seen.challenger.requests
    assert seen.agreement is None


def test_what_was_dealt_adds_up_to_what_was_answered(station: Station) -> None:
    seen = traffic_of(station, active(station), station.clock.now())
    (dealt,) = seen.dealt
    assert dealt.share == 0.2
    assert (dealt.champion, dealt.challenger) == (len(seen.champion.scores), len(seen.challenger.scores))
    assert (dealt.keys.champion, dealt.keys.challenger, dealt.keys.share) == (
        dealt.champion,
        dealt.challenger,
        0.2,
    )


def test_labels_that_came_later_are_not_there_yet(station: Station) -> None:
    rollout = active(station)
    seen = [traffic_of(station, rollout, rollout.started_at + timedelta(days=days)) for days in (0, 1, 3)]
    assert [each.labelled for each in seen] == sorted({each.labelled for each in seen})
    assert seen[0].labelled == 0
    fresh = replace(rollout, step_since=rollout.started_at + timedelta(days=1))
    late = traffic_of(station, fresh, station.clock.now())
    assert 0 < late.labelled_in_step < late.labelled == seen[2].labelled
    assert 0 < late.asked_in_step < seen[2].asked_in_step


def test_a_champion_without_traffic_is_known_by_the_day_before(station: Station) -> None:
    rollout = active(station)
    later = replace(rollout, step=2, started_at=rollout.started_at + timedelta(days=1))
    full = traffic_of(station, later, station.clock.now())
    half = traffic_of(station, replace(later, step=1), station.clock.now())
    assert len(full.champion.scores) > len(half.champion.scores) > 0
    assert len(full.challenger.scores) == len(half.challenger.scores)


def test_a_shadow_is_told_by_its_own_logs(lived_copy: Station) -> None:
    station = lived_copy
    start_rollout(station, 2, "see what it says", Shadow(mirror=1.0))
    rollout, at = active(station), to_micros(station.clock.now())
    url = station.settings.store("predictions")
    said, echoed = PredictionLog(url, "w1"), PredictionLog(url, "w1", kind=SHADOWS)
    failed = FailureLog(url, "w1", kind=SHADOW_FAILURES)
    for n in range(10):
        said.write(Prediction(f"s{n}", at, "tiny", 1, "champion", 9, f"k{n}", 0.9, 0.001, (0.5,)))
        score = 0.1 if n == 3 else 0.8
        echoed.write(Prediction(f"s{n}", at, "tiny", 2, "challenger", 9, f"k{n}", score, 0.002, (0.5,)))
    failed.write(FailedRequest("s10", at, "tiny", 2, "challenger", 9, "k10", 500, "it broke", 0.1))
    for each in (said, echoed, failed):
        each.close()
    Ring(station).drain()
    seen = traffic_of(station, rollout, station.clock.now() + timedelta(seconds=1))
    assert (seen.champion.requests, seen.challenger.requests, seen.challenger.errors) == (10, 11, 1)
    assert seen.dealt == ()
    assert seen.agreement is not None
    assert (seen.agreement.agreeing, seen.agreement.compared) == (9, 10)


@pytest.fixture
def lived_copy(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Station:
    station = open_station(copy_of(lived(tmp_path_factory.getbasetemp()), tmp_path / "p"))
    abort(station, "another plan")
    station.clock.advance(timedelta(minutes=1))
    return station
