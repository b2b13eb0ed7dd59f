"""When to train a new candidate: evidence of need, time to settle, and enough new labels to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

from esteira.base.errors import BadInput, UnknownName
from esteira.base.records import Alert, AlertState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Cause = Literal["alert", "schedule", "never"]


@dataclass(frozen=True, slots=True)
class RetrainPolicy:
    """The owner's wish: on an alert, on every cooldown that passes, or only by hand.

    Raises: UnknownName, BadInput.
    >>> RetrainPolicy(on="alert", cooldown=timedelta(days=7)).minimum_labels
    1000
    """

    on: Cause = "alert"
    cooldown: timedelta = timedelta(days=7)  # between the end of one attempt and the next
    minimum_labels: int = 1_000  # that came since the last attempt began

    def __post_init__(self) -> None:
        if self.on not in get_args(Cause):
            raise UnknownName("cause to retrain", self.on, get_args(Cause))
        if self.cooldown < timedelta(0) or self.minimum_labels < 0:
            raise BadInput(
                "retraining needs a cooldown and a number of labels of 0 or more,"
                f" found {self.cooldown} and {self.minimum_labels}"
            )


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to train now, and why or why not."""

    act: bool
    reason: str


def decide(
    alerts: Sequence[Alert],
    last_attempt: datetime | None,
    labels_since: int,
    rollout_active: bool,  # noqa: FBT001 - a fact, not a switch
    now: datetime,
    policy: RetrainPolicy,
) -> Decision:
    """Whether a new candidate should be trained. An alert that is only pending is no reason yet.

    `last_attempt` is when the last one ended, whatever came of it; `labels_since` counts what came since
    it began.
    >>> from datetime import UTC, datetime
    >>> decide([], None, 5_000, False, datetime(2013, 7, 1, tzinfo=UTC), RetrainPolicy())
    Decision(act=False, reason='no alert is firing')
    """
    cause = _cause(alerts, policy)
    if not cause:
        quiet = "no alert is firing" if policy.on == "alert" else "retraining is by hand only"
        return Decision(act=False, reason=quiet)
    objection = _objection(last_attempt, labels_since, rollout_active, now, policy)
    if objection:
        return Decision(act=False, reason=f"{cause}, but {objection}")
    return Decision(act=True, reason=cause)


def _objection(
    last_attempt: datetime | None,
    labels_since: int,
    rollout_active: bool,  # noqa: FBT001 - a fact, not a switch
    now: datetime,
    policy: RetrainPolicy,
) -> str:
    if rollout_active:
        return "a rollout is under way: its verdict comes first"
    if last_attempt is not None and now - last_attempt < policy.cooldown:
        return f"the last attempt is too recent: not before {last_attempt + policy.cooldown:%Y-%m-%d %H:%M}"
    if labels_since < policy.minimum_labels:
        return f"only {labels_since} of {policy.minimum_labels} new labels have come"
    return ""


def _cause(alerts: Sequence[Alert], policy: RetrainPolicy) -> str:
    if policy.on == "schedule":
        return f"every {policy.cooldown}"
    firing = [alert for alert in alerts if alert.state is AlertState.FIRING]
    if policy.on == "never" or not firing:
        return ""
    return "; ".join(f"{alert.monitor} {alert.subject}: {alert.message}" for alert in firing)
