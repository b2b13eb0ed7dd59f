from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from esteira.project.rollouts.guard_readings import (
    BY_RING,
    FIRES,
    NOTHING_SEEN,
    OFF,
    QUIET,
    GuardReading,
    guard_readings,
    observed_distance,
)
from esteira.project.rollouts.traffic import Dealt, RolloutTraffic
from esteira.serving.rollout.evidence import Agreement, ArmSeen, Split
from esteira.serving.rollout.state import Rollout, RolloutState
from esteira.serving.rollout.strategies import Canary, Shadow

if TYPE_CHECKING:
    from esteira.serving.rollout.plan import RolloutPlan

START = datetime(2020, 1, 1, tzinfo=UTC)
CHANCE = np.random.default_rng(1)
USUAL = ArmSeen(2_000, 2, CHANCE.uniform(0.001, 0.002, 2_000), CHANCE.uniform(0, 1, 2_000))
NAMES = ("numbers", "errors", "latency", "scores", "agreement", "split")


def seen(
    challenger: ArmSeen = USUAL, keys: Split | None = None, both: Agreement | None = None
) -> RolloutTraffic:
    keys = keys or Split(800, 200, 0.2)
    dealt = Dealt(keys.share, START, keys.champion, keys.challenger, keys)
    return RolloutTraffic(START + timedelta(days=1), USUAL, challenger, (dealt,), 1, 1, 1, both)


def read(traffic: RolloutTraffic, plan: RolloutPlan | None = None) -> dict[str, GuardReading]:
    plan = plan or Canary((0.2, 1.0))
    rollout = Rollout("r", "m", 1, 2, plan, 0, RolloutState.RUNNING, START, START)
    return dict(zip(NAMES, guard_readings(traffic, rollout), strict=True))


def test_guards_are_quiet_on_two_alike() -> None:
    states = {name: each.state for name, each in read(seen()).items()}
    assert states == {**dict.fromkeys(NAMES, QUIET), "agreement": OFF}


@pytest.mark.parametrize(
    ("guard", "traffic"),
    [
        ("numbers", seen(replace(USUAL, scores=np.array([0.5, np.nan])))),
        ("errors", seen(replace(USUAL, errors=400))),
        ("latency", seen(replace(USUAL, latencies=USUAL.latencies * 10))),
        ("scores", seen(replace(USUAL, scores=USUAL.scores / 10))),
        ("split", seen(keys=Split(800, 800, 0.2))),
    ],
)
def test_one_harm_makes_one_guard_fire_and_no_other(guard: str, traffic: RolloutTraffic) -> None:
    found = read(traffic)
    assert [name for name, each in found.items() if each.state == FIRES] == [guard]
    assert found[guard].reason


def test_a_reading_stands_beside_its_limit() -> None:
    found = read(seen(replace(USUAL, errors=400)))
    assert (found["errors"].seen, found["errors"].limit) == ("20.00%", "≤ 1.00%")
    assert (found["split"].seen, found["split"].limit) == ("20.00%", "= 20.00%")
    assert found["latency"].seen == "p50 ×1.00, p99 ×1.00"


def test_what_was_not_seen_is_not_called_quiet() -> None:
    nothing = RolloutTraffic(START, ArmSeen(), ArmSeen(), (), 0, 0, 0)
    states = [each.state for each in read(nothing).values()]
    assert states == [NOTHING_SEEN] * 4 + [OFF, NOTHING_SEEN]


def test_agreement_is_read_of_a_shadow_and_left_to_the_ring_elsewhere() -> None:
    apart = seen(both=Agreement(500, 1_000))
    assert read(apart, Shadow(min_agreement=0.9))["agreement"].state == FIRES
    assert read(apart, Shadow(min_agreement=0.4))["agreement"].seen == "50.00%"
    assert read(seen(), Canary((0.2, 1.0), min_agreement=0.9))["agreement"].state == BY_RING
    assert read(apart, Shadow())["split"].state == OFF


def test_a_limit_that_the_plan_leaves_out_is_not_asked_for() -> None:
    found = read(seen(replace(USUAL, scores=USUAL.scores / 10)), Canary((0.2, 1.0), max_score_shift=None))
    assert found["scores"].state == OFF
    assert found["scores"].seen


def test_the_distance_of_two_samples_is_that_of_their_distributions() -> None:
    assert observed_distance(np.arange(10.0), np.arange(10.0)) == 0
    assert observed_distance(np.arange(10.0), np.arange(10.0) + 100) == 1
