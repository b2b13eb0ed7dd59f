from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.clock import to_micros
from esteira.base.digest import canonical_json
from esteira.serving.rollout.analysis import Evidence, Health, Verdict, analyse, paired_losses
from esteira.serving.rollout.plan import CanaryPlan
from esteira.serving.rollout.sequences import Interval

START = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = CanaryPlan((0.05, 0.25, 1.0), DAY, 200, timedelta(days=28))
BLOCKS_PER_DAY, ROWS_PER_BLOCK = 4, 60
RUNS = 200  # simulated rollouts


def differences(seed: int, effect: float, *, days: int = 28, storm: float = 0.05) -> np.ndarray:
    """Loss differences of rows whose blocks share a storm, shape (days × 4 × 60,)."""
    random = np.random.default_rng(seed)
    blocks = days * BLOCKS_PER_DAY
    rows = random.normal(0, 0.15, (blocks, ROWS_PER_BLOCK)) + random.normal(0, storm, (blocks, 1))
    return (rows + effect).ravel()


def moments(count: int) -> np.ndarray:
    spacing = 86_400_000_000 // (BLOCKS_PER_DAY * ROWS_PER_BLOCK)
    return to_micros(START) + np.arange(count, dtype=np.int64) * spacing


def evidence(
    values: np.ndarray,
    *,
    days: float,
    step: int = 0,
    in_step: float | None = None,
    health: Health | None = None,
) -> Evidence:
    now = START + days * DAY
    at = moments(len(values))
    seen = at < to_micros(now)
    since = START if in_step is None else now - in_step * DAY
    return Evidence(step, START, since, now, at[seen], values[seen], health or Health())


def follow(values: np.ndarray, plan: CanaryPlan) -> tuple[Verdict, int, int]:
    """Look once a day until the rollout ends; the verdict, the day and the step."""
    step, since = 0, START
    for day in range(1, 1_000):
        seen = replace(evidence(values, days=day, step=step), step_since=since)
        verdict = analyse(seen, plan)
        if verdict.kind == "widen":
            step, since = step + 1, seen.now
        elif verdict.kind != "hold":
            return verdict, day, step
    raise AssertionError("a rollout never ends")


def test_silence_holds() -> None:
    verdict = analyse(evidence(np.empty(0), days=3), PLAN)
    assert (verdict.kind, verdict.reason) == ("hold", "0 of 200 labelled predictions at this step")


@pytest.mark.parametrize("effect", [-3.0, 3.0])
def test_too_few_labels_hold_however_strong_they_look(effect: float) -> None:
    few = replace(PLAN, minimum=100_000)
    values = differences(1, effect)
    assert analyse(evidence(values, days=20, step=2), few).kind == "hold"


def test_a_step_bakes_before_it_widens() -> None:
    values = differences(1, -0.2)
    early = analyse(evidence(values, days=9, in_step=0.9), PLAN)
    assert (early.kind, "baked" in early.reason) == ("hold", True)
    assert analyse(evidence(values, days=9, in_step=1), PLAN).kind == "widen"


def test_labels_of_earlier_steps_do_not_count_for_this_one() -> None:
    verdict = analyse(evidence(differences(1, -0.2), days=9, in_step=0), PLAN)
    assert verdict.reason == "0 of 200 labelled predictions at this step"


def test_an_equal_challenger_widens_but_is_not_promoted() -> None:
    values = differences(3, 0.0, storm=0.0)
    assert analyse(evidence(values, days=20, step=1), PLAN).kind == "widen"
    last = analyse(evidence(values, days=20, step=2), PLAN)
    assert (last.kind, "not shown to be better" in last.reason) == ("hold", True)


def test_a_step_holds_while_harm_is_not_excluded() -> None:
    verdict = analyse(evidence(differences(2, 0.0, storm=0.2), days=6), PLAN)
    assert (verdict.kind, "harm beyond 0.01 is not excluded" in verdict.reason) == ("hold", True)


def test_a_better_challenger_is_promoted_at_the_last_step_only() -> None:
    values = differences(4, -0.1)
    assert [analyse(evidence(values, days=10, step=step), PLAN).kind for step in (0, 1, 2)] == [
        "widen",
        "widen",
        "promote",
    ]


def test_a_worse_challenger_is_rolled_back_at_any_step() -> None:
    values = differences(5, 0.1)
    for step in (0, 1, 2):
        verdict = analyse(evidence(values, days=10, step=step), PLAN)
        assert (verdict.kind, "is worse" in verdict.reason) == ("roll back", True)
        assert verdict.interval.low > 0


def test_time_runs_out_for_a_challenger_that_is_not_better() -> None:
    verdict = analyse(evidence(differences(3, 0.0, days=40), days=28, step=1), PLAN)
    assert (verdict.kind, "no evidence of being better" in verdict.reason) == ("roll back", True)
    silent = analyse(evidence(np.empty(0), days=28), PLAN)
    assert (silent.kind, "not known yet" in silent.reason) == ("roll back", True)


def test_evidence_of_being_better_counts_on_the_last_day_too() -> None:
    assert analyse(evidence(differences(4, -0.1), days=28, step=2), PLAN).kind == "promote"


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Health(requests=10, nonfinite=1), "1 scores of the challenger are no numbers"),
        (Health(requests=200, errors=20), "20 of 200 requests failed, more than 1.0% allowed"),
        (Health(requests=500, latency_ratio=3.5), "3.5 times as long as the champion, more than 3 allowed"),
    ],
)
def test_an_unhealthy_arm_is_rolled_back_even_when_it_predicts_better(health: Health, words: str) -> None:
    verdict = analyse(evidence(differences(4, -0.1), days=10, step=2, health=health), PLAN)
    assert verdict.kind == "roll back"
    assert words in verdict.reason


@pytest.mark.parametrize(
    "health",
    [
        Health(requests=99, latency_ratio=50.0),
        Health(requests=1_000, errors=10),
        Health(requests=20, errors=1),
        Health(requests=5_000, latency_ratio=2.9),
    ],
)
def test_a_hiccup_is_no_illness(health: Health) -> None:
    assert analyse(evidence(np.empty(0), days=2, health=health), PLAN).kind == "hold"


def test_a_score_that_is_no_number_rolls_back() -> None:
    spoilt = differences(4, -0.1)
    spoilt[7] = math.nan
    assert analyse(evidence(spoilt, days=10, step=2), PLAN).kind == "roll back"


def test_the_newest_block_waits_for_its_labels() -> None:
    values = differences(4, -0.1)
    assert analyse(evidence(values, days=10), PLAN).interval.observations == 39


def test_the_mean_is_that_of_the_rows_whatever_the_size_of_blocks() -> None:
    at = to_micros(START) + np.array([0, 1, 2, 3, 30, 60], dtype=np.int64) * 3_600_000_000
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    found = analyse(Evidence(0, START, START, START + 3 * DAY, at, values), PLAN).interval
    assert (found.mean, found.observations) == (pytest.approx(3.0), 2)


@given(st.permutations(range(400)))
def test_the_order_in_which_labels_come_does_not_matter(order: list[int]) -> None:
    values, at = differences(6, 0.0)[:400], moments(400)
    now = START + 5 * DAY
    one = analyse(Evidence(0, START, START, now, at, values), PLAN)
    other = analyse(Evidence(0, START, START, now, at[order], values[order]), PLAN)
    assert one.kind == other.kind
    assert one.interval.mean == pytest.approx(other.interval.mean)


def test_paired_losses_are_the_difference_of_log_losses() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 50)
    champion, challenger = random.random(50), random.random(50)
    loss = [-(labels * np.log(s) + (1 - labels) * np.log(1 - s)) for s in (champion, challenger)]
    assert paired_losses(labels, champion, challenger) == pytest.approx(loss[1] - loss[0])


def test_a_certain_mistake_costs_much_but_not_everything() -> None:
    found = paired_losses([0, 1], [0.5, 0.5], [1.0, 0.0])
    assert np.isfinite(found).all()
    assert (found > 30).all()
    assert np.isnan(paired_losses([1], [0.5], [math.nan])).all()


def test_the_facts_of_a_verdict_are_json_also_when_nothing_is_known() -> None:
    nothing = Verdict("hold", "silence", Interval(math.nan, -math.inf, math.inf, 0))
    assert nothing.facts()["low"] is None
    assert canonical_json(nothing.facts())


def outcomes(effect: float, plan: CanaryPlan, runs: int = RUNS) -> list[Verdict]:
    return [follow(differences(1_000 + seed, effect), plan)[0] for seed in range(runs)]


def count(verdicts: list[Verdict], kind: str, words: str = "") -> int:
    return sum(verdict.kind == kind and words in verdict.reason for verdict in verdicts)


def test_equal_challengers_are_promoted_or_blamed_as_seldom_as_alpha_says() -> None:
    found = outcomes(0.0, PLAN)
    most = RUNS * PLAN.alpha + 3 * math.sqrt(RUNS * PLAN.alpha * (1 - PLAN.alpha))
    assert count(found, "promote") <= most
    assert count(found, "roll back", "is worse") <= most


def test_better_challengers_are_promoted() -> None:
    assert count(outcomes(-0.04, PLAN), "promote") >= 0.9 * RUNS


def test_harmful_challengers_are_found_out_and_none_is_promoted() -> None:
    found = outcomes(0.04, PLAN)
    assert count(found, "roll back", "is worse") >= 0.95 * RUNS
    assert count(found, "promote") == 0


def test_rows_that_share_storms_mislead_a_plan_that_takes_them_for_independent() -> None:
    naive = outcomes(0.0, replace(PLAN, block=timedelta(0)), runs=60)
    assert count(naive, "promote") + count(naive, "roll back", "is worse") > 60 * 0.3
