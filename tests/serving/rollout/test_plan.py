from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import canonical_json
from esteira.base.errors import BadInput
from esteira.serving.rollout.losses import LOSSES, Costs
from esteira.serving.rollout.plan import BadPlan, RolloutPlan
from esteira.serving.rollout.strategies import Canary

GOOD: dict[str, Any] = {
    "shares": (0.05, 0.25, 1.0),
    "bake": timedelta(days=1),
    "minimum": 300,
    "max_duration": timedelta(days=28),
}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("goal", "best"),
        ("metric", "auc"),
        ("costs", (1.0,)),
        ("costs", (-1.0, 1.0)),
        ("costs", (1.0, math.inf)),
        ("costs", (math.nan, 1.0)),
        ("segments", ("",)),
        ("segments", "beta"),
        ("segments", ["beta"]),
        ("bake", timedelta(days=-1)),
        ("bake", timedelta(days=10)),
        ("block", timedelta(hours=-1)),
        ("minimum", 0),
        ("max_duration", timedelta(0)),
        ("alpha", 0.0),
        ("alpha", 0.5),
        ("alpha", math.nan),
        ("harm_alpha", 0.0),
        ("harm_alpha", 0.5),
        ("margin", -0.1),
        ("margin", math.nan),
        ("margin", math.inf),
        ("max_error_rate", 0.0),
        ("max_error_rate", 1.0),
        ("max_latency_ratio", 0.0),
        ("max_latency_ratio", math.inf),
        ("max_score_shift", 0.0),
        ("max_score_shift", 1.0),
        ("max_score_shift", math.nan),
        ("min_agreement", 0.0),
        ("min_agreement", 1.0),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(setting: str, value: object) -> None:
    with pytest.raises(BadPlan, match=r"^canary .* must be ") as refused:
        Canary(**(GOOD | {setting: value}))
    assert isinstance(refused.value, BadInput)


def test_a_refusal_names_strategy_and_setting_and_keeps_them() -> None:
    with pytest.raises(
        BadPlan, match=r"canary minimum must be at least 1 labelled prediction, found 0"
    ) as refused:
        Canary(**(GOOD | {"minimum": 0}))
    assert (refused.value.strategy, refused.value.setting, refused.value.found) == ("canary", "minimum", 0)
    with pytest.raises(BadPlan, match=r"at least 1 prediction, found 0"):
        Canary(**(GOOD | {"minimum": 0, "goal": "healthy"}))


def test_a_guard_may_be_left_out_where_none_means_that() -> None:
    plan = Canary(max_score_shift=None, min_agreement=None)
    assert (plan.max_score_shift, plan.min_agreement) == (None, None)


@pytest.mark.parametrize("metric", [*LOSSES, "outcome"])
def test_every_loss_and_the_outcome_may_judge(metric: str) -> None:
    assert Canary(metric=metric).is_paired == (metric != "outcome")


def test_the_costs_of_a_plan_carry_its_threshold() -> None:
    assert Canary(costs=(1.0, 5.0), threshold=0.3).costs_of() == Costs(1.0, 5.0, 0.3)


def test_what_no_strategy_says_is_left_to_strategies() -> None:
    with pytest.raises(TypeError, match="abstract"):
        RolloutPlan()


spans = st.timedeltas(timedelta(0), timedelta(days=3))
plans = st.builds(
    Canary,
    shares=st.sets(st.floats(0.001, 1), min_size=1, max_size=5).map(lambda shares: tuple(sorted(shares))),
    goal=st.sampled_from(["better", "harmless", "healthy"]),
    metric=st.sampled_from([*LOSSES, "outcome"]),
    bake=spans,
    minimum=st.integers(1, 10_000),
    max_duration=st.timedeltas(timedelta(days=15), timedelta(days=90)),
    alpha=st.floats(0.001, 0.499),
    harm_alpha=st.floats(0.001, 0.499),
    margin=st.floats(0, 1),
    block=spans,
    costs=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    segments=st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple),
    max_score_shift=st.none() | st.floats(0.01, 0.99),
    automatic=st.booleans(),
)


@given(plans)
def test_a_plan_reads_back_from_its_json(plan: Canary) -> None:
    assert canonical_json(plan.to_plain())
    assert Canary.from_plain(plan.to_plain()) == plan


@given(plans)
def test_the_tuning_comes_from_the_plan_and_is_positive(plan: Canary) -> None:
    assert plan.planned_observations >= 1


def test_without_blocks_the_planned_rows_are_those_that_all_steps_ask_for() -> None:
    assert Canary(**GOOD, block=timedelta(0)).planned_observations == 900
    assert Canary(**GOOD, block=timedelta(days=1)).planned_observations == 14


def test_a_plan_with_a_setting_that_nobody_knows_is_refused_by_its_name() -> None:
    written_later = Canary(**GOOD).to_plain() | {"max_cost": 3}
    with pytest.raises(BadPlan, match=r"canary settings must be some of alpha, .*, found max_cost"):
        Canary.from_plain(written_later)
