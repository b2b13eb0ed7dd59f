from __future__ import annotations

from datetime import timedelta

import pytest

from esteira.project.rollouts.plan_words import English, metric_words, plan_words, span_words
from esteira.serving.rollout.strategies import STRATEGIES, Canary, Shadow

SAY = English()


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_has_its_words_without_gaps(name: str) -> None:
    said = plan_words(STRATEGIES[name](), SAY)
    assert len(said) == 4
    assert "{" not in " ".join(said)
    assert all(each.endswith(".") for each in said)


def test_no_two_strategies_are_told_alike() -> None:
    assert len({plan_words(kind(), SAY)[0] for kind in STRATEGIES.values()}) == len(STRATEGIES)


def test_a_plan_is_told_with_its_own_numbers() -> None:
    plan = Canary(
        (0.1, 1.0), goal="harmless", margin=0.02, bake=timedelta(hours=6), minimum=4_000, segments=("br",)
    )
    said = plan_words(plan, SAY)
    assert "10% → 100% of the traffic" in said[0]
    assert said[1] == "It wins when log loss shows no harm beyond 0.02; by itself."
    assert said[2] == "A step lasts at least 6 hours and 4,000 labelled predictions."
    assert said[3] == "Without evidence after 28 days the champion stays."
    assert said[4] == "Only these segments take part: br."


def test_a_plan_that_waits_for_a_person_says_so() -> None:
    assert plan_words(Shadow(), SAY)[1] == "It wins when no guard fires; a person decides."
    assert "300 predictions" in plan_words(Shadow(), SAY)[2]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=1), "1 day"),
        (timedelta(days=2.25), "2.2 days"),
        (timedelta(minutes=90), "1.5 hours"),
        (timedelta(seconds=30), "0.5 minutes"),
        (timedelta(0), "0 minutes"),
    ],
)
def test_a_span_is_told_in_its_greatest_unit(span: timedelta, words: str) -> None:
    assert span_words(span, SAY) == words


def test_a_metric_is_told_without_underscores() -> None:
    assert metric_words(Canary(), SAY) == "log loss"
