from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from esteira.serving.rollout.evidence import Agreement, ArmSeen, Evidence, Split
from esteira.serving.rollout.guards import harm, labels_alpha
from esteira.serving.rollout.strategies import Bandit, Canary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

START = datetime(2013, 6, 1, tzinfo=UTC)
NOTHING = Evidence(0, START, START, START + timedelta(days=1), np.empty(0, np.int64), np.empty(0))
PLAN = Canary(min_agreement=0.9)
LOUD = replace(PLAN, harm_alpha=0.35)  # each guard has a twentieth: its alarms can be counted
EVERY, RUNS = 50, 300


def arm(requests: int, errors: int = 0, slow: float = 0.01, scores: float = 0.5) -> ArmSeen:
    answered = requests - errors
    return ArmSeen(requests, errors, np.full(answered, slow), np.full(answered, scores))


def seen(champion: ArmSeen | None = None, challenger: ArmSeen | None = None, **facts: Any) -> str:
    evidence = replace(NOTHING, champion=champion or ArmSeen(), challenger=challenger or ArmSeen(), **facts)
    return harm(evidence, PLAN)


def test_nothing_seen_is_no_harm() -> None:
    assert seen() == ""


def test_an_equal_challenger_does_no_harm() -> None:
    facts = {"split": Split(1_900, 100, 0.05), "agreement": Agreement(100, 100)}
    assert seen(arm(1_900, 5), arm(100), **facts) == ""


def test_one_score_that_is_no_number_is_enough() -> None:
    spoilt = ArmSeen(10, 0, np.zeros(10), np.array([0.5] * 9 + [np.nan]))
    assert seen(challenger=spoilt) == "1 scores of the challenger are no numbers"
    differences = np.array([0.1, np.nan, np.inf])
    assert "2 scores" in seen(at=np.zeros(3, np.int64), differences=differences)


def test_errors_that_only_the_challenger_has_are_its_own() -> None:
    assert seen(arm(3_800), arm(200, 20)) == "20 of 200 requests failed, more than 1.0% allowed"
    assert "20 of 200" in seen(arm(3_800, 10), arm(200, 20))
    assert "20 of 200" in seen(challenger=arm(200, 20))


def test_what_fails_for_both_is_no_harm_of_one() -> None:
    assert seen(arm(3_800, 380), arm(200, 20)) == ""


def test_a_challenger_that_is_slower_in_the_middle_is_found_out() -> None:
    words = "over 3 times as long as the champion (10 ms) for more than half of its requests: 100 of 100"
    assert words in seen(arm(1_000), arm(100, slow=0.05))


def test_a_challenger_that_is_slow_now_and_then_is_found_out() -> None:
    latencies = np.full(1_000, 0.01)
    latencies[::20] = 0.2
    found = seen(arm(1_000), ArmSeen(1_000, 0, latencies, np.full(1_000, 0.5)))
    assert "more than a hundredth of its requests: 50 of 1000" in found


@pytest.mark.parametrize(
    ("champion", "challenger"),
    [
        (arm(99), arm(500, slow=1.0)),  # too few to know what is usual
        (arm(1_000), arm(99, slow=1.0)),  # the first ones
        (arm(1_000), arm(500, slow=0.029)),
        (arm(1_000, slow=1e-5), arm(500, slow=2.9e-3)),  # nobody waits for microseconds
    ],
    ids=["few", "first", "within the ratio", "unnoticed"],
)
def test_slowness_that_is_no_harm_is_let_pass(champion: ArmSeen, challenger: ArmSeen) -> None:
    assert seen(champion, challenger) == ""


def test_other_scores_are_found_out_unless_the_plan_allows_them() -> None:
    champion, challenger = arm(4_000, scores=0.2), arm(400, scores=0.8)
    assert "distributed otherwise" in seen(champion, challenger)
    evidence = replace(NOTHING, champion=champion, challenger=challenger)
    assert harm(evidence, replace(PLAN, max_score_shift=None)) == ""


def test_a_challenger_that_disagrees_too_often_is_found_out() -> None:
    found = seen(agreement=Agreement(700, 1_000))
    assert found == "both say the same on 700 of 1000 requests, less than the 90.0% asked for"
    assert seen(agreement=Agreement(880, 1_000)) == ""
    assert harm(replace(NOTHING, agreement=Agreement(0, 1_000)), Canary()) == ""


def test_a_broken_split_stops_the_comparison() -> None:
    found = seen(split=Split(9_900, 100, 0.05))
    assert found.startswith("sample-ratio mismatch: 100 of 10000 keys went to the challenger")
    assert "5.0%" in found


def test_all_parts_together_are_the_whole_alpha() -> None:
    assert labels_alpha(PLAN) == pytest.approx(PLAN.harm_alpha / 7)


# ── false alarms of each guard, looked at after every fifty requests ────────────────────────────────────


def alarms(make: Any, plan: Canary | Bandit = LOUD) -> int:
    """In how many runs any look finds harm."""
    return sum(
        any(harm(each, plan) for each in make(np.random.default_rng([run, 11]))) for run in range(RUNS)
    )


def most(alpha: float) -> float:
    return RUNS * alpha + 3 * math.sqrt(RUNS * alpha * (1 - alpha))


def of(champion: NDArray[Any], challenger: NDArray[Any], what: str) -> Iterator[Evidence]:
    """Looks at two arms of which the champion gets four times as many."""
    for n in range(EVERY, len(challenger) + 1, EVERY):
        arms = []
        for values in (champion[: 4 * n], challenger[:n]):
            none = np.empty(0)
            if what == "errors":
                arms.append(ArmSeen(len(values), int(values.sum()), none, none))
            else:
                arms.append(replace(ArmSeen(len(values), 0, none, none), **{what: values}))
        yield replace(NOTHING, champion=arms[0], challenger=arms[1])


def errors_at_the_limit(random: np.random.Generator) -> Iterator[Evidence]:
    """The champion never fails, so nothing excuses the challenger."""
    return of(np.zeros(4_000, bool), random.random(1_000) < LOUD.max_error_rate, "errors")


def errors_of_both(random: np.random.Generator) -> Iterator[Evidence]:
    """Five times what is allowed, for both alike."""
    return of(random.random(4_000) < 0.05, random.random(1_000) < 0.05, "errors")


def latencies_alike(random: np.random.Generator) -> Iterator[Evidence]:
    """A heavy tail: three times the slowest hundredth is rare, and not impossible."""
    return of(random.lognormal(-4, 1, 4_000), random.lognormal(-4, 1, 1_000), "latencies")


def latencies_at_the_ratio(random: np.random.Generator) -> Iterator[Evidence]:
    return of(random.lognormal(-4, 0.5, 4_000), 2.8 * random.lognormal(-4, 0.5, 1_000), "latencies")


def scores_at_the_distance(random: np.random.Generator) -> Iterator[Evidence]:
    return of(random.random(4_000), random.random(1_000) + 0.4, "scores")


def agreement_at_the_limit(random: np.random.Generator) -> Iterator[Evidence]:
    agrees = np.cumsum(random.random(2_000) < 0.9)
    for n in range(EVERY, 2_001, EVERY):
        yield replace(NOTHING, agreement=Agreement(int(agrees[n - 1]), n))


def splits_as_intended(random: np.random.Generator) -> Iterator[Evidence]:
    for share in (0.05, 0.25):
        hits = np.cumsum(random.random(3_000) < share)
        for n in range(EVERY, 3_001, EVERY):
            yield replace(NOTHING, split=Split(n - int(hits[n - 1]), int(hits[n - 1]), share))


@pytest.mark.parametrize(
    "make",
    [
        errors_at_the_limit,
        errors_of_both,
        latencies_alike,
        latencies_at_the_ratio,
        scores_at_the_distance,
        agreement_at_the_limit,
        splits_as_intended,
    ],
)
def test_a_guard_raises_as_few_false_alarms_as_its_part_allows(make: Any) -> None:
    assert alarms(make) <= most(labels_alpha(LOUD))


def test_a_bandit_that_deals_anew_at_every_look_keeps_the_same_bound() -> None:
    def dealt_anew(random: np.random.Generator) -> Iterator[Evidence]:
        for share in random.choice(Bandit().ladder, 90):
            for n in (50, 200, 500):
                hits = int(random.binomial(n, share))
                yield replace(NOTHING, split=Split(n - hits, hits, float(share)))

    loud = Bandit(harm_alpha=0.35)
    assert alarms(dealt_anew, loud) <= most(labels_alpha(loud))
