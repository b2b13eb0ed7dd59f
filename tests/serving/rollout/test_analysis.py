from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.clock import to_micros
from esteira.serving.rollout.analysis import analyse
from esteira.serving.rollout.evidence import ArmSeen, Evidence, Split
from esteira.serving.rollout.strategies import ABTest, Bandit, BlueGreen, Canary, ChampionChallenger, Shadow

if TYPE_CHECKING:
    from esteira.serving.rollout.verdict import Verdict

START = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = Canary((0.05, 0.25, 1.0), bake=DAY, minimum=200, max_duration=timedelta(days=28))
BLOCKS_PER_DAY, ROWS_PER_BLOCK = 4, 60
RUNS = 150  # simulated rollouts


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
    challenger: ArmSeen | None = None,
) -> Evidence:
    now = START + days * DAY
    at = moments(len(values))
    seen = at < to_micros(now)
    since = START if in_step is None else now - in_step * DAY
    champion = ArmSeen(4_000, 0, np.full(4_000, 0.01), np.full(4_000, 0.5))
    arms = (champion, challenger or ArmSeen())
    return Evidence(step, START, since, now, at[seen], values[seen], *arms)


def arm(requests: int, errors: int = 0, slow: float = 0.01, *, nonfinite: int = 0) -> ArmSeen:
    scores = np.full(requests - errors, 0.5)
    scores[:nonfinite] = np.nan
    return ArmSeen(requests, errors, np.full(requests - errors, slow), scores)


def follow(values: np.ndarray, plan: Canary) -> tuple[Verdict, int, int]:
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
    ("challenger", "words"),
    [
        (arm(10, nonfinite=1), "1 scores of the challenger are no numbers"),
        (arm(200, 20), "20 of 200 requests failed, more than 1.0% allowed"),
        (arm(500, slow=0.035), "over 3 times as long as the champion (10 ms)"),
    ],
)
def test_an_unhealthy_arm_is_rolled_back_even_when_it_predicts_better(
    challenger: ArmSeen, words: str
) -> None:
    verdict = analyse(evidence(differences(4, -0.1), days=10, step=2, challenger=challenger), PLAN)
    assert verdict.kind == "roll back"
    assert words in verdict.reason


@pytest.mark.parametrize(
    "challenger",
    [arm(99, slow=0.5), arm(1_000, 10), arm(20, 1), arm(5_000, slow=0.029)],
)
def test_a_hiccup_is_no_illness(challenger: ArmSeen) -> None:
    assert analyse(evidence(np.empty(0), days=2, challenger=challenger), PLAN).kind == "hold"


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


def outcomes(effect: float, plan: Canary, runs: int = RUNS) -> list[Verdict]:
    return [follow(differences(1_000 + seed, effect), plan)[0] for seed in range(runs)]


def count(verdicts: list[Verdict], kind: str, words: str = "") -> int:
    return sum(verdict.kind == kind and words in verdict.reason for verdict in verdicts)


def test_equal_challengers_are_promoted_or_blamed_as_seldom_as_alpha_says() -> None:
    found = outcomes(0.0, PLAN)
    most = RUNS * PLAN.alpha + 3 * math.sqrt(RUNS * PLAN.alpha * (1 - PLAN.alpha))
    assert count(found, "promote") <= most
    assert count(found, "roll back", "is worse") <= RUNS * PLAN.harm_alpha + 3 * math.sqrt(
        RUNS * PLAN.harm_alpha
    )


def test_better_challengers_are_promoted() -> None:
    assert count(outcomes(-0.04, PLAN), "promote") >= 0.9 * RUNS


def test_harmful_challengers_are_found_out_and_none_is_promoted() -> None:
    found = outcomes(0.05, PLAN)
    assert count(found, "roll back", "is worse") >= 0.9 * RUNS
    assert count(found, "promote") == 0


def test_rows_that_share_storms_mislead_a_plan_that_takes_them_for_independent() -> None:
    naive = outcomes(0.0, replace(PLAN, block=timedelta(0)), runs=60)
    assert count(naive, "promote") + count(naive, "roll back", "is worse") > 60 * 0.3


# ── the goals of a plan ─────────────────────────────────────────────────────────────────────────────────


def test_a_harmless_challenger_is_promoted_when_that_is_the_goal() -> None:
    values = differences(3, 0.0, storm=0.0)
    verdict = analyse(evidence(values, days=20, step=2), replace(PLAN, goal="harmless"))
    assert (verdict.kind, "no harm beyond 0.01" in verdict.reason) == ("promote", True)
    overdue = analyse(evidence(differences(2, 0.0, storm=0.5), days=28), replace(PLAN, goal="harmless"))
    assert (overdue.kind, "no evidence of being no worse" in overdue.reason) == ("roll back", True)


def test_one_that_is_worse_by_the_margin_is_promoted_as_seldom_as_alpha_says() -> None:
    found = outcomes(PLAN.margin, replace(PLAN, goal="harmless"))
    assert count(found, "promote") <= RUNS * 0.05 + 3 * math.sqrt(RUNS * 0.05)


def healthy(asked: int, *, days: float, step: int = 1, **facts: Any) -> Evidence:
    found = evidence(np.empty(0), days=days, step=step, challenger=arm(asked))
    return replace(found, asked_in_step=asked, **facts)


def test_blue_green_waits_for_its_checks_and_then_takes_all_the_traffic() -> None:
    plan = BlueGreen()
    waiting = analyse(healthy(0, days=0, step=0, is_validated=False), plan)
    assert (waiting.kind, "checks" in waiting.reason) == ("hold", True)
    assert analyse(healthy(0, days=0, step=0), plan).kind == "widen"


def test_blue_green_is_promoted_after_enough_requests_and_time() -> None:
    plan = BlueGreen()
    assert analyse(healthy(299, days=1), plan).reason == "299 of 300 predictions at this step"
    assert "baked" in analyse(healthy(300, days=0.01), plan).reason
    assert analyse(healthy(300, days=1), plan).kind == "promote"


def test_blue_green_without_traffic_returns_when_its_time_is_over() -> None:
    found = analyse(healthy(7, days=7), BlueGreen())
    assert (found.kind, found.reason) == ("roll back", "only 7 of 300 predictions at this step within 7 days")


def test_a_failed_check_rolls_back_before_anything_else_is_looked_at() -> None:
    found = analyse(healthy(0, days=0, broken=("it does not load", "nor that")), Canary())
    assert (found.kind, found.reason) == (
        "roll back",
        "a check after the deployment failed: it does not load, and 1 more",
    )


# ── who decides ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_shadow_says_that_it_is_ready_and_waits_for_a_person() -> None:
    found = analyse(healthy(500, days=2, step=0), Shadow())
    assert (found.kind, found.advice, found.reason) == (
        "hold",
        "promote",
        "ready to promote by hand; no guard fires",
    )
    assert analyse(healthy(500, days=2, step=0), Shadow(automatic=True)).kind == "promote"


def test_a_rival_in_the_shadow_is_promoted_by_labels_alone() -> None:
    plan = ChampionChallenger()
    assert analyse(evidence(differences(4, -0.1), days=10), plan).kind == "promote"
    assert analyse(evidence(differences(4, 0.1), days=10), plan).kind == "roll back"
    assert analyse(evidence(np.empty(0), days=10), plan).kind == "hold"


@pytest.mark.parametrize(("step", "advice"), [(0, "widen"), (2, "promote")])
def test_a_paused_rollout_says_what_it_would_do_and_holds(step: int, advice: str) -> None:
    found = analyse(evidence(differences(4, -0.1), days=10, step=step), PLAN, is_paused=True)
    assert (found.kind, found.advice, found.reason.startswith("paused; ")) == ("hold", advice, True)


def test_harm_ends_a_pause_and_a_plan_that_is_not_automatic() -> None:
    sick = evidence(np.empty(0), days=2, challenger=arm(200, 50))
    assert analyse(sick, PLAN, is_paused=True).kind == "roll back"
    assert analyse(sick, replace(PLAN, automatic=False)).kind == "roll back"


def test_time_runs_out_in_a_pause_too() -> None:
    assert analyse(evidence(np.empty(0), days=28), PLAN, is_paused=True).kind == "roll back"


# ── experiments and bandits ─────────────────────────────────────────────────────────────────────────────


def test_an_experiment_stops_when_its_split_is_broken() -> None:
    broken = replace(evidence(differences(4, -0.1), days=10), split=Split(6_000, 4_000, 0.5))
    found = analyse(broken, ABTest())
    assert (found.kind, "sample-ratio mismatch" in found.reason) == ("roll back", True)


def test_a_bandit_whose_share_moved_a_moment_ago_is_promoted_on_all_that_it_saw() -> None:
    found = analyse(evidence(differences(4, -0.1), days=10, step=7, in_step=0), Bandit())
    assert found.kind == "promote"


def test_a_bandit_with_too_few_outcomes_holds() -> None:
    found = analyse(evidence(differences(4, -0.1)[:299], days=10, step=7), Bandit())
    assert (found.kind, found.reason) == ("hold", "299 of 300 labelled predictions")


# ── clocks, silence, labels ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("plan", [PLAN, Shadow(), ChampionChallenger(), ABTest(), Bandit()])
def test_silence_holds_until_the_time_is_over_and_then_the_champion_stays(plan: Any) -> None:
    kinds = [analyse(evidence(np.empty(0), days=day), plan).kind for day in range(30)]
    assert kinds == ["hold"] * 28 + ["roll back"] * 2


def test_labels_that_never_come_hold_however_many_requests_there_are() -> None:
    asked = replace(evidence(np.empty(0), days=20, challenger=arm(50_000)), asked_in_step=50_000)
    assert analyse(asked, PLAN).reason == "0 of 200 labelled predictions at this step"


def test_a_clock_that_was_set_back_holds_and_says_so() -> None:
    values = differences(4, -0.1)
    back = replace(evidence(values, days=10), step_since=START + 12 * DAY)
    found = analyse(back, PLAN)
    assert (found.kind, found.reason) == ("hold", "the clock was set back by 2 days")


def test_a_clock_that_was_set_back_does_not_excuse_harm() -> None:
    sick = evidence(np.empty(0), days=1, challenger=arm(200, 50))
    assert analyse(replace(sick, step_since=START + 2 * DAY), PLAN).kind == "roll back"


def test_a_clock_that_jumps_far_ahead_ends_what_has_no_evidence_and_keeps_what_has() -> None:
    far = START + 4_000 * DAY
    assert analyse(replace(evidence(np.empty(0), days=1), now=far), PLAN).kind == "roll back"
    assert analyse(replace(evidence(differences(4, -0.1), days=20, step=2), now=far), PLAN).kind == "promote"


@given(
    seed=st.integers(0, 50),
    days=st.floats(0, 40),
    in_step=st.floats(-5, 40),
    step=st.integers(0, 2),
    goal=st.sampled_from(["better", "harmless", "healthy"]),
)
def test_whatever_the_clock_says_few_labels_promote_nothing(
    seed: int, days: float, in_step: float, step: int, goal: Any
) -> None:
    few = differences(seed, -1.0)[:199]
    found = analyse(evidence(few, days=days, step=step, in_step=in_step), replace(PLAN, goal=goal))
    assert found.kind in ("hold", "roll back")
