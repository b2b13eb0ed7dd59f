from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from esteira.project.rollouts.guard_readings import NOTHING_SEEN, QUIET, GuardReading
from esteira.project.rollouts.moves import Look
from esteira.project.rollouts.plan_words import English
from esteira.project.rollouts.report import RolloutReport
from esteira.project.rollouts.traffic import RolloutTraffic
from esteira.project.rollouts.verdict_words import interval_words, needs_of, unknown_words, verdict_words
from esteira.serving.rollout.evidence import ArmSeen
from esteira.serving.rollout.state import Rollout, RolloutState
from esteira.serving.rollout.strategies import ABTest, BlueGreen, Canary, Shadow

if TYPE_CHECKING:
    from esteira.serving.rollout.plan import RolloutPlan

START = datetime(2020, 1, 1, tzinfo=UTC)
SAY = English()
SEEN = ArmSeen(500, 0, np.full(500, 0.001), np.full(500, 0.5))
RUNNING = RolloutState.RUNNING


def look(low: float | None, high: float | None) -> Look:
    return Look(START, 0.0 if low is None else low, low, high, 9)


def report(
    plan: RolloutPlan | None = None,
    last: Look | None = None,
    state: RolloutState = RUNNING,
    step: int = 0,
    **advice: str,
) -> RolloutReport:
    plan = plan or Canary((0.1, 1.0), margin=0.01)
    rollout = Rollout("r", "m", 1, 2, plan, step, state, START, START, advice)
    traffic = RolloutTraffic(START, SEEN, SEEN, (), 120, 80, 700)
    looks = [] if last is None else [last]
    return RolloutReport(rollout, START + timedelta(hours=12), [], looks, traffic, [])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "say nothing of it yet"),
        (look(None, None), "say nothing of it yet"),
        (look(0.1, 0.2), "show that it is worse"),
        (look(-0.2, -0.1), "show that it is better"),
        (look(-0.2, 0.005), "show no harm beyond the margin"),
        (look(-0.2, 0.2), "do not tell the two apart yet"),
        (look(None, 0.2), "do not tell the two apart yet"),
    ],
)
def test_labels_say_what_the_interval_says(found: Look | None, said: str) -> None:
    assert verdict_words(report(last=found), SAY).endswith(f"Labels {said}.")
    assert verdict_words(report(ABTest(margin=0.01), found), SAY).endswith(f"Outcomes {said}.")


def test_every_state_has_its_sentence() -> None:
    told = {verdict_words(report(state=state), SAY) for state in RolloutState}
    assert len(told) == len(RolloutState)
    assert "version 1 takes all the traffic" in verdict_words(report(state=RolloutState.ROLLED_BACK), SAY)


def test_what_a_person_could_do_now_is_said() -> None:
    assert "ready to be promoted by hand" in verdict_words(report(advice="promote"), SAY)
    assert "ready for the next step" in verdict_words(report(advice="widen"), SAY)


def test_an_interval_is_told_with_its_signs() -> None:
    assert interval_words(look(-0.2, 0.1), SAY) == "-0.2000, between -0.2000 and +0.1000"
    assert interval_words(look(None, None), SAY) == "+0.0000, between −∞ and ∞"


def test_a_step_waits_for_labels_time_and_the_margin() -> None:
    labels, time, bound = needs_of(report(last=look(-0.1, 0.005)), SAY)
    assert (labels.seen, labels.needed, labels.is_met) == ("80", "≥ 300", False)
    assert (time.seen, time.needed, time.is_met) == ("12 hours", "≥ 1 day", False)
    assert (bound.seen, bound.needed, bound.is_met) == ("+0.0050", "< 0.01", True)


def test_the_last_step_waits_until_it_is_better() -> None:
    assert needs_of(report(last=look(-0.1, 0.005), step=1), SAY)[-1].needed == "< 0"
    harmless = Canary((0.1, 1.0), goal="harmless", margin=0.01)
    assert needs_of(report(harmless, look(-0.1, 0.005), step=1), SAY)[-1].needed == "< 0.01"
    assert needs_of(report(step=1), SAY)[-1].seen == "not known yet"


def test_a_healthy_one_waits_for_requests_and_a_step_without_traffic_for_nothing() -> None:
    assert [each.seen for each in needs_of(report(Shadow()), SAY)] == ["120", "12 hours"]
    assert needs_of(report(BlueGreen()), SAY) == []
    assert len(needs_of(report(BlueGreen(), step=1), SAY)) == 2


@pytest.mark.parametrize("state", [RolloutState.PENDING, RolloutState.PROMOTED, RolloutState.ROLLED_BACK])
def test_what_has_not_begun_or_has_ended_waits_for_nothing(state: RolloutState) -> None:
    assert needs_of(report(state=state), SAY) == []


def test_what_nobody_knows_is_said() -> None:
    assert any("too few labels" in each for each in unknown_words(report(), SAY))
    apart = unknown_words(report(last=look(-0.1, 0.1)), SAY)
    assert "Whether it is better or worse: the interval holds zero." in apart
    assert "The labels of 300 of 1,000 answers." in apart
    assert any("nobody saw them" in each for each in unknown_words(report(Shadow()), SAY))
    assert any("segments" in each for each in unknown_words(report(Canary(segments=("br",))), SAY))


def test_a_guard_that_saw_nothing_is_no_guard_that_is_quiet() -> None:
    guards = [GuardReading("one", "", "", NOTHING_SEEN), GuardReading("two", "1", "2", QUIET)]
    found = unknown_words(replace(report(last=look(-0.2, -0.1)), guards=guards), SAY)
    assert "one: nothing seen yet." in found
    assert not any(each.startswith("two") for each in found)


def test_few_answers_leave_its_speed_unknown() -> None:
    few = ArmSeen(5, 0, np.full(5, 0.001), np.full(5, 0.5))
    found = report(last=look(-0.2, -0.1))
    for arm in ("champion", "challenger"):
        seen = replace(found.traffic, **{arm: few})
        assert any("slower" in each for each in unknown_words(replace(found, traffic=seen), SAY))
    assert not any("slower" in each for each in unknown_words(found, SAY))
