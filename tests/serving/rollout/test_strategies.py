from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import canonical_json
from esteira.base.errors import UnknownName
from esteira.serving.rollout.plan import BadPlan
from esteira.serving.rollout.strategies import (
    STRATEGIES,
    ABTest,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Shadow,
    plan_of,
)

OLD = {  # as plans were written before there were strategies
    "shares": [0.05, 0.25, 1.0],
    "bake": 86_400_000_000,
    "minimum": 200,
    "max_duration": 28 * 86_400_000_000,
    "alpha": 0.05,
    "margin": 0.01,
    "block": 6 * 3_600_000_000,
    "max_error_rate": 0.01,
    "max_latency_ratio": 3.0,
}


@pytest.mark.parametrize("kind", STRATEGIES.values(), ids=STRATEGIES)
def test_a_strategy_follows_a_plan_of_its_defaults_and_reads_back(kind: type) -> None:
    plan = kind()
    plain = plan.to_plain()
    assert plain["strategy"] == kind.strategy
    assert canonical_json(plain)
    assert plan_of(plain) == plan
    assert type(plan_of(plain)) is kind
    assert 0 <= plan.first_step < plan.steps


def test_a_plan_that_names_no_strategy_is_a_canary() -> None:
    expected = Canary((0.05, 0.25, 1.0), minimum=200)
    assert plan_of(OLD) == expected


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="blue-green"):
        plan_of({"strategy": "big bang"})


@pytest.mark.parametrize(
    "shares", [(), (0.5, 0.25), (0.25, 0.25), (0.0, 1.0), (0.5, 1.5), (math.nan,), (-0.1,)]
)
def test_the_shares_of_a_canary_rise_from_above_nothing(shares: tuple[float, ...]) -> None:
    with pytest.raises(BadPlan, match="canary shares must be rising fractions"):
        Canary(shares)


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        *((Shadow, "mirror", value) for value in (0.0, -0.1, 1.1, math.nan)),
        *((ChampionChallenger, "mirror", value) for value in (0.0, 2.0)),
        *((ABTest, "share", value) for value in (0.0, 1.0, -0.5, math.nan)),
        *((Bandit, "floor", value) for value in (0.0, 0.009, 0.51, math.nan, math.inf, -math.inf)),
        (Bandit, "metric", "log_loss"),
    ],
)
def test_a_setting_of_a_strategy_that_means_nothing_is_refused(
    kind: Any, setting: str, value: object
) -> None:
    with pytest.raises(BadPlan, match=f"{kind.strategy} "):
        kind(**{setting: value})


def test_blue_green_validates_with_no_traffic_and_then_takes_all() -> None:
    plan = BlueGreen()
    assert (plan.ladder, plan.goal, plan.mirrored, plan.automatic) == ((0.0, 1.0), "healthy", 0.0, True)


def test_a_shadow_gets_no_traffic_and_waits_for_a_person() -> None:
    plan = Shadow(mirror=0.3)
    assert (plan.ladder, plan.mirrored, plan.automatic, plan.goal) == ((0.0,), 0.3, False, "healthy")
    rival = ChampionChallenger()
    assert (rival.mirrored, rival.automatic, rival.goal) == (1.0, True, "better")


def test_an_experiment_keeps_its_share_and_is_judged_by_outcomes() -> None:
    plan = ABTest(share=0.2)
    assert (plan.ladder, plan.is_paired, plan.moves_freely) == ((0.2,), False, False)


@given(st.floats(0.01, 0.5))
def test_neither_version_of_a_bandit_falls_below_the_floor(floor: float) -> None:
    plan = Bandit(floor=floor)
    assert plan.ladder[0] == pytest.approx(1 - plan.ladder[-1])
    assert plan.ladder[0] == pytest.approx(floor, abs=0.005 + 1e-9)
    assert plan.ladder[plan.first_step] == pytest.approx(0.5)


@given(floor=st.floats(0.01, 0.5), share=st.floats(0, 1))
def test_a_bandit_takes_the_step_whose_share_is_nearest(floor: float, share: float) -> None:
    plan = Bandit(floor=floor)
    found = plan.ladder[plan.step_of(share)]
    assert abs(found - share) == min(abs(each - share) for each in plan.ladder)


def test_a_bandit_needs_no_time_for_each_of_its_many_steps() -> None:
    assert Bandit(bake=timedelta(days=1), max_duration=timedelta(days=2)).steps == 91
    with pytest.raises(BadPlan, match="time for 3 steps"):
        Canary(bake=timedelta(days=1), max_duration=timedelta(days=2))
