from __future__ import annotations

from datetime import timedelta

import pytest

from esteira.base.errors import UnknownName
from esteira.serving.rollout.plan import BadPlan
from esteira.serving.rollout.plan_texts import plan_of_texts
from esteira.serving.rollout.strategies import STRATEGIES, Bandit, BlueGreen, Canary


def test_nothing_said_is_the_plan_of_the_project() -> None:
    plan = Canary((0.2, 1.0), minimum=7)
    assert plan_of_texts("", {}, plan) == plan
    assert plan_of_texts("canary", {}, plan) == plan


@pytest.mark.parametrize("name", STRATEGIES)
def test_another_strategy_begins_with_its_own_settings(name: str) -> None:
    plan = plan_of_texts(name, {"minimum": "9"}, Canary((0.2, 1.0), alpha=0.2))
    assert (plan.strategy, plan.minimum) == (name, 9)


def test_settings_are_read_by_their_types() -> None:
    settings = {
        "shares": "0.1, 0.5,1",
        "bake": "2h",
        "block": "0d",
        "alpha": "0.1",
        "segments": "beta, staff",
        "automatic": "no",
        "metric": "cost",
        "costs": "1,25",
        "max_score_shift": "none",
        "min_agreement": "0.9",
    }
    plan = plan_of_texts("canary", settings, BlueGreen(minimum=5))
    expected = Canary(
        (0.1, 0.5, 1.0),
        bake=timedelta(hours=2),
        block=timedelta(0),
        alpha=0.1,
        segments=("beta", "staff"),
        automatic=False,
        metric="cost",
        costs=(1.0, 25.0),
        max_score_shift=None,
        min_agreement=0.9,
    )
    assert plan == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("shares", "a,b", "numbers with commas between them"),
        ("minimum", "1.5", "a whole number"),
        ("alpha", "much", "a number"),
        ("bake", "soon", "a span of time such as 7d, 12h or 30m"),
        ("automatic", "perhaps", "yes or no"),
        ("shares", "0.5,0.2", "rising fractions"),
        ("alpha", "0.9", "a probability above 0 and below 0.5"),
    ],
)
def test_a_text_that_is_no_value_is_refused_by_name(name: str, text: str, expected: str) -> None:
    with pytest.raises(BadPlan, match=f"canary {name} must be {expected}"):
        plan_of_texts("canary", {name: text}, Canary())


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="canary"):
        plan_of_texts("canari", {}, Canary())
    with pytest.raises(UnknownName, match="floor"):
        plan_of_texts("bandit", {"flor": "0.1"}, Bandit())
