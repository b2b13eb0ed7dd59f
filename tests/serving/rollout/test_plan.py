from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import canonical_json
from esteira.base.errors import BadInput
from esteira.serving.rollout.plan import BadPlan, CanaryPlan

GOOD: dict[str, Any] = {
    "shares": (0.05, 0.25, 1.0),
    "bake": timedelta(days=1),
    "minimum": 300,
    "max_duration": timedelta(days=28),
}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("shares", ()),
        ("shares", (0.5, 0.25)),
        ("shares", (0.25, 0.25)),
        ("shares", (0.0, 1.0)),
        ("shares", (0.5, 1.5)),
        ("shares", (math.nan,)),
        ("bake", timedelta(days=-1)),
        ("bake", timedelta(days=10)),
        ("block", timedelta(hours=-1)),
        ("minimum", 0),
        ("max_duration", timedelta(0)),
        ("alpha", 0.0),
        ("alpha", 0.5),
        ("margin", -0.1),
        ("margin", math.nan),
        ("max_error_rate", 0.0),
        ("max_error_rate", 1.0),
        ("max_latency_ratio", 0.0),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(setting: str, value: object) -> None:
    with pytest.raises(BadPlan, match="must be") as refused:
        CanaryPlan(**(GOOD | {setting: value}))
    assert isinstance(refused.value, BadInput)


def test_a_refusal_names_the_setting() -> None:
    with pytest.raises(BadPlan, match=r"canary minimum must be at least 1 labelled prediction, found 0"):
        CanaryPlan(**(GOOD | {"minimum": 0}))


spans = st.timedeltas(timedelta(0), timedelta(days=3))
plans = st.builds(
    CanaryPlan,
    shares=st.sets(st.floats(0.001, 1), min_size=1, max_size=5).map(lambda shares: tuple(sorted(shares))),
    bake=spans,
    minimum=st.integers(1, 10_000),
    max_duration=st.timedeltas(timedelta(days=15), timedelta(days=90)),
    alpha=st.floats(0.001, 0.4),
    margin=st.floats(0, 1),
    block=spans,
)


@given(plans)
def test_a_plan_reads_back_from_its_json(plan: CanaryPlan) -> None:
    assert canonical_json(plan.to_plain())
    assert CanaryPlan.from_plain(plan.to_plain()) == plan


@given(plans)
def test_the_tuning_comes_from_the_plan_and_is_positive(plan: CanaryPlan) -> None:
    assert plan.planned_observations >= 1


def test_without_blocks_the_planned_rows_are_those_that_all_steps_ask_for() -> None:
    assert CanaryPlan(**GOOD, block=timedelta(0)).planned_observations == 900
    assert CanaryPlan(**GOOD, block=timedelta(days=1)).planned_observations == 14
