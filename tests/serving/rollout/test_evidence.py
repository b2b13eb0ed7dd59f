from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from esteira.base.clock import to_micros
from esteira.serving.rollout.evidence import ArmSeen, Evidence

START = datetime(2013, 6, 1, tzinfo=UTC)


def test_nothing_is_seen_of_an_arm_at_first() -> None:
    seen = ArmSeen()
    assert (seen.requests, seen.errors, len(seen.latencies), len(seen.scores), seen.nonfinite) == (
        0,
        0,
        0,
        0,
        0,
    )


def test_scores_that_are_no_numbers_are_counted() -> None:
    scores = np.array([0.1, np.nan, np.inf, -np.inf, 0.9])
    assert ArmSeen(5, 0, np.zeros(5), scores).nonfinite == 3


def test_arms_do_not_share_what_they_begin_with() -> None:
    assert ArmSeen().scores is not ArmSeen().scores


def test_labels_count_for_the_step_in_which_the_prediction_was_made() -> None:
    at = to_micros(START) + np.array([0, 3_599, 3_600, 7_200], dtype=np.int64) * 1_000_000
    hour = timedelta(hours=1)
    evidence = Evidence(1, START, START + hour, START + 3 * hour, at, np.zeros(4))
    assert (evidence.labelled, evidence.labelled_in_step) == (4, 2)


def test_without_checks_that_say_otherwise_a_challenger_is_validated() -> None:
    evidence = Evidence(0, START, START, START, np.empty(0, np.int64), np.empty(0))
    assert (evidence.is_validated, evidence.broken, evidence.split, evidence.agreement) == (
        True,
        (),
        None,
        None,
    )
