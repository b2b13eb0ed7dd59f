"""The loop: alert → train → gates → canary → verdict, with nothing promoted on the way round any of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError, ServiceUnreachable, StorageUnwritable
from esteira.base.records import AlertState
from esteira.retraining.attempts import Attempt, AttemptJournal, AttemptState, LoopEvent, Outcome
from esteira.retraining.policy import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from esteira.base.records import Alert
    from esteira.retraining.attempts import Candidate
    from esteira.retraining.policy import RetrainPolicy
    from esteira.serving.rollout.verdict import Verdict

_NO_VERDICT = (StorageUnwritable, ServiceUnreachable)  # says nothing of the candidate: tried again later


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """What the gates say of a candidate."""

    passed: bool
    reason: str
    facts: Mapping[str, object] = field(default_factory=dict)  # JSON values


@dataclass(frozen=True, slots=True)
class Acts:
    """What the loop asks and does; the project hands over the real things.

    After a kill the act that was under way is called again with the same attempt: it must find by the
    attempt's id, or by the state that it changes, what it has done already. An act whose end is in the
    journal is never called again.
    """

    alerts: Callable[[], Sequence[Alert]]
    labels_since: Callable[
        [datetime | None], int
    ]  # labels since a time; None: since the champion was trained
    rollout_active: Callable[[], bool]
    train: Callable[[Attempt], Candidate]  # an EsteiraError ends the attempt as failed
    gate: Callable[[Attempt], GateAnswer]  # likewise
    start_rollout: Callable[[Attempt], str]  # at its first share; gives its id
    analyse: Callable[[Attempt], Verdict]
    widen: Callable[[Attempt], None]  # to `attempt.step`, from 0
    promote: Callable[[Attempt], None]
    roll_back: Callable[[Attempt], None]  # for `attempt.reason`


@dataclass(frozen=True, slots=True)
class _Move:
    """Where an act has brought the attempt, and what to say of it."""

    after: Attempt
    kind: str
    message: str
    facts: Mapping[str, object] = field(default_factory=dict)


class RetrainLoop:
    """One loop per model; call `step` as often as you like, for instance after each look of the monitors.

    All that it knows is in the state database, so that it goes on where a killed process left it.
    """

    def __init__(self, url: str, model: str, policy: RetrainPolicy, acts: Acts) -> None:
        self.journal = AttemptJournal(url)
        self._model, self._policy, self._acts = model, policy, acts
        self._due: Mapping[AttemptState, Callable[[Attempt], _Move]] = {
            AttemptState.TRAINING: self._train,
            AttemptState.TRAINED: self._gate,
            AttemptState.GATED: self._start_rollout,
            AttemptState.ROLLING: self._analyse,
            AttemptState.WIDENING: self._widen,
            AttemptState.PROMOTING: self._promote,
            AttemptState.ROLLING_BACK: self._roll_back,
        }

    def step(self, now: datetime) -> tuple[LoopEvent, ...]:
        """Do what is due until there is nothing to do but wait; what happened comes back in order.

        Raises: what a rollout act raises; the next step tries that act again.
        """
        events: list[LoopEvent] = []
        attempt = self.journal.open_attempt(self._model)
        if attempt is None:
            attempt, event = self._begin(now)
            events += [event] if event else []
        while attempt is not None:
            move = self._due[attempt.state](attempt)
            event = LoopEvent(move.kind, move.message, move.facts, now, attempt.id)
            events.append(event)
            if move.after == attempt:  # held
                break
            after = replace(move.after, ended_at=now) if move.after.outcome else move.after
            self.journal.move(attempt, after, event)
            is_resting = after.state in (AttemptState.ROLLING, AttemptState.ENDED)
            attempt = None if is_resting else after
        return tuple(events)

    def _begin(self, now: datetime) -> tuple[Attempt | None, LoopEvent | None]:
        alerts = self._acts.alerts()
        earlier = self.journal.history(self._model)
        last = earlier[-1] if earlier else None
        decision = decide(
            alerts,
            last.ended_at if last else None,
            self._acts.labels_since(last.started_at if last else None),
            self._acts.rollout_active(),
            now,
            self._policy,
        )
        if decision.act:
            attempt = self.journal.begin(self._model, decision.reason, now)
            return attempt, LoopEvent("began", decision.reason, {}, now, attempt.id)
        if any(alert.state is AlertState.FIRING for alert in alerts):
            return None, LoopEvent("waiting", decision.reason, {}, now)
        return None, None

    def _train(self, attempt: Attempt) -> _Move:
        try:
            candidate = self._acts.train(attempt)
        except _NO_VERDICT:
            raise
        except EsteiraError as failure:
            return _end(attempt, Outcome.FAILED, f"training failed: {failure}")
        after = replace(attempt, state=AttemptState.TRAINED, candidate=candidate)
        facts = {"version": candidate.version, "run": candidate.run_id, **candidate.facts}
        return _Move(after, "trained", f"version {candidate.version} is trained", facts)

    def _gate(self, attempt: Attempt) -> _Move:
        try:
            answer = self._acts.gate(attempt)
        except _NO_VERDICT:
            raise
        except EsteiraError as failure:
            return _end(attempt, Outcome.FAILED, f"the gates could not judge: {failure}")
        if not answer.passed:
            return _end(attempt, Outcome.REFUSED, answer.reason, answer.facts)
        after = replace(attempt, state=AttemptState.GATED, reason=answer.reason)
        return _Move(after, "passed", answer.reason, answer.facts)

    def _start_rollout(self, attempt: Attempt) -> _Move:
        rollout = self._acts.start_rollout(attempt)
        after = replace(attempt, state=AttemptState.ROLLING, rollout=rollout, step=0)
        return _Move(after, "rolling", "the canary has begun", {"rollout": rollout})

    def _analyse(self, attempt: Attempt) -> _Move:
        verdict = self._acts.analyse(attempt)
        facts = {**verdict.facts(), "step": attempt.step}
        if verdict.kind == "hold":
            return _Move(attempt, "held", verdict.reason, facts)
        state, step = {
            "promote": (AttemptState.PROMOTING, attempt.step),
            "roll back": (AttemptState.ROLLING_BACK, attempt.step),
            "widen": (AttemptState.WIDENING, attempt.step + 1),
        }[verdict.kind]
        after = replace(attempt, state=state, step=step, reason=verdict.reason)
        return _Move(after, "decided", f"{verdict.kind}: {verdict.reason}", facts)

    def _widen(self, attempt: Attempt) -> _Move:
        self._acts.widen(attempt)
        after = replace(attempt, state=AttemptState.ROLLING)
        return _Move(after, "widened", attempt.reason, {"step": attempt.step})

    def _promote(self, attempt: Attempt) -> _Move:
        self._acts.promote(attempt)
        return _end(attempt, Outcome.PROMOTED, attempt.reason)

    def _roll_back(self, attempt: Attempt) -> _Move:
        self._acts.roll_back(attempt)
        return _end(attempt, Outcome.ROLLED_BACK, attempt.reason)


def _end(attempt: Attempt, outcome: Outcome, reason: str, facts: Mapping[str, object] | None = None) -> _Move:
    after = replace(attempt, state=AttemptState.ENDED, outcome=outcome, reason=reason)
    version = {"version": attempt.candidate.version} if attempt.candidate else {}
    return _Move(after, outcome.value, reason, version | dict(facts or {}))
