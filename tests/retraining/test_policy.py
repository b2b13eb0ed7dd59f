from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, UnknownName
from esteira.base.records import Alert, AlertState
from esteira.retraining.policy import Decision, RetrainPolicy, decide

NOW = datetime(2013, 7, 1, tzinfo=UTC)
POLICY = RetrainPolicy()


def alert(state: AlertState = AlertState.FIRING, subject: str = "roc_auc") -> Alert:
    return Alert("performance", subject, state, NOW, 0.62, 0.7, "0.62, expected at least 0.70")


FACTS: dict[str, Any] = {
    "alerts": [alert()],
    "last_attempt": None,
    "labels_since": 5_000,
    "rollout_active": False,
    "now": NOW,
    "policy": POLICY,
}


def judged(**facts: Any) -> Decision:
    return decide(**(FACTS | facts))


def test_a_firing_alert_is_a_reason_and_is_named() -> None:
    assert judged() == Decision(act=True, reason="performance roc_auc: 0.62, expected at least 0.70")


@pytest.mark.parametrize("state", [AlertState.OK, AlertState.PENDING, AlertState.RESOLVING])
def test_an_alert_that_does_not_fire_is_no_reason(state: AlertState) -> None:
    assert judged(alerts=[alert(state)]) == Decision(act=False, reason="no alert is firing")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"rollout_active": True}, "a rollout is under way"),
        ({"last_attempt": NOW - timedelta(days=6)}, "too recent: not before 2013-07-02 00:00"),
        ({"labels_since": 999}, "only 999 of 1000 new labels"),
    ],
)
def test_each_objection_alone_holds_back_and_is_said_beside_the_cause(
    facts: dict[str, Any], words: str
) -> None:
    decision = judged(**facts)
    assert not decision.act
    assert decision.reason.startswith("performance roc_auc")
    assert words in decision.reason


def test_the_limits_themselves_are_enough() -> None:
    assert judged(last_attempt=NOW - timedelta(days=7), labels_since=1_000).act


def test_by_schedule_no_alert_is_needed_but_everything_else_is() -> None:
    policy = RetrainPolicy(on="schedule", cooldown=timedelta(days=30))
    assert judged(alerts=[], policy=policy).reason == "every 30 days, 0:00:00"
    assert judged(alerts=[], policy=policy).act
    assert not judged(alerts=[], policy=policy, labels_since=0).act
    assert not judged(alerts=[], policy=policy, last_attempt=NOW).act


def test_by_hand_only_no_alert_helps() -> None:
    found = judged(policy=RetrainPolicy(on="never"))
    assert found == Decision(act=False, reason="retraining is by hand only")


@given(
    firing=st.booleans(),
    ago=st.none() | st.timedeltas(timedelta(0), timedelta(days=30)),
    labels=st.integers(0, 5_000),
    rolling=st.booleans(),
)
def test_it_acts_exactly_when_nothing_speaks_against_it(
    firing: bool,
    ago: timedelta | None,
    labels: int,
    rolling: bool,
) -> None:
    decision = judged(
        alerts=[alert()] if firing else [],
        last_attempt=None if ago is None else NOW - ago,
        labels_since=labels,
        rollout_active=rolling,
    )
    settled = ago is None or ago >= POLICY.cooldown
    assert decision.act == (firing and settled and labels >= 1_000 and not rolling)
    assert decision.reason


def test_an_unknown_cause_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'alert'"):
        RetrainPolicy(on="alerts")


@pytest.mark.parametrize("wrong", [{"cooldown": timedelta(days=-1)}, {"minimum_labels": -1}])
def test_a_policy_below_zero_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="0 or more"):
        RetrainPolicy(**wrong)
