"""The journal of attempts: where each stands is one row, and every move of it one transaction.

training → trained → gated → rolling ⇄ widening
    └─────────┴→ ended          ├→ promoting ────→ ended
                                └→ rolling back → ended
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from esteira.base.clock import from_micros, to_micros
from esteira.base.databases import open_database
from esteira.base.digest import digest_json, json_text
from esteira.base.errors import EsteiraError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from esteira.base.databases.port import Record, Writer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS retrain_attempts (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, state TEXT NOT NULL, cause TEXT NOT NULL,
    started_at BIGINT NOT NULL, candidate TEXT NOT NULL, rollout TEXT NOT NULL, step BIGINT NOT NULL,
    reason TEXT NOT NULL, outcome TEXT NOT NULL, ended_at BIGINT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_attempt_per_model ON retrain_attempts (model) WHERE state <> 'ended';
CREATE TABLE IF NOT EXISTS retrain_events (
    id BIGINT NOT NULL PRIMARY KEY, attempt TEXT NOT NULL REFERENCES retrain_attempts (id),
    model TEXT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, facts TEXT NOT NULL
);
"""
_BEGIN = """
INSERT INTO retrain_attempts
    (state, candidate, rollout, step, reason, outcome, ended_at, id, model, cause, started_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_MOVE = """
UPDATE retrain_attempts
SET state = ?, candidate = ?, rollout = ?, step = ?, reason = ?, outcome = ?, ended_at = ?
WHERE id = ? AND state = ? AND step = ?
"""
_LOG = """
INSERT INTO retrain_events (id, attempt, model, at, kind, message, facts)
VALUES ((SELECT coalesce(max(id), 0) + 1 FROM retrain_events), ?, ?, ?, ?, ?, ?)
"""
_HISTORY = """
SELECT * FROM retrain_attempts WHERE model = ?
ORDER BY (SELECT min(id) FROM retrain_events WHERE attempt = retrain_attempts.id)
"""


class AttemptState(StrEnum):
    """What is due next; `ended` is the loop's idle."""

    TRAINING = "training"
    TRAINED = "trained"
    GATED = "gated"  # and passed
    ROLLING = "rolling"
    WIDENING = "widening"
    PROMOTING = "promoting"
    ROLLING_BACK = "rolling back"
    ENDED = "ended"


class Outcome(StrEnum):
    """What came of an attempt."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    REFUSED = "refused"  # by the gates
    FAILED = "failed"  # it could not be trained or judged


_S = AttemptState
_LEGAL: Mapping[AttemptState, frozenset[AttemptState]] = {
    _S.TRAINING: frozenset({_S.TRAINED, _S.ENDED}),
    _S.TRAINED: frozenset({_S.GATED, _S.ENDED}),
    _S.GATED: frozenset({_S.ROLLING}),
    _S.ROLLING: frozenset({_S.WIDENING, _S.PROMOTING, _S.ROLLING_BACK}),
    _S.WIDENING: frozenset({_S.ROLLING}),
    _S.PROMOTING: frozenset({_S.ENDED}),
    _S.ROLLING_BACK: frozenset({_S.ENDED}),
    _S.ENDED: frozenset(),
}
_ENDS: Mapping[AttemptState, frozenset[Outcome]] = {
    _S.TRAINING: frozenset({Outcome.FAILED}),
    _S.TRAINED: frozenset({Outcome.REFUSED, Outcome.FAILED}),
    _S.PROMOTING: frozenset({Outcome.PROMOTED}),
    _S.ROLLING_BACK: frozenset({Outcome.ROLLED_BACK}),
}


class IllegalStep(EsteiraError):
    """A move that the loop's law forbids, such as a promotion without a verdict."""

    def __init__(self, before: Attempt, after: Attempt) -> None:
        found = f"{before.state.value} → {after.state.value} {after.outcome or ''}".rstrip()
        super().__init__(f"retraining attempt {before.id} cannot go {found}")
        self.before, self.after = before, after


class AttemptMoved(EsteiraError):
    """Another process moved the attempt first: two loops run on one project."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(
            f"retraining attempt {attempt.id} is not {attempt.state.value} any more: another process works"
            " on it; run one loop per project"
        )
        self.attempt = attempt


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained model that asks for the traffic."""

    version: int  # in the registry
    run_id: str = ""
    facts: Mapping[str, object] = field(
        default_factory=dict
    )  # JSON values for the story: rows, window, metrics


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to replace the champion, from its cause to its outcome."""

    id: str
    model: str
    state: AttemptState
    cause: str
    started_at: datetime
    candidate: Candidate | None = None
    rollout: str = ""  # its id
    step: int = 0  # of the rollout: the one it is at, or, while widening, the one it goes to
    reason: str = ""  # of the newest verdict or refusal
    outcome: Outcome | None = None
    ended_at: datetime | None = None


LOOP_EVENTS = (
    "waiting", "began", "trained", "failed", "passed", "refused", "rolling", "held", "decided", "widened",
    "promoted", "rolled back",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LoopEvent:
    """Something that happened in the loop, for the story and the pages."""

    kind: (
        str  # began, trained, failed, refused, passed, rolling, widened, held, decided, promoted, rolled back
    )
    message: str
    facts: Mapping[str, object]  # JSON values
    at: datetime
    attempt: str = ""  # its id


class AttemptJournal:
    """Attempts and their events in the state database."""

    def __init__(self, url: str) -> None:
        self._database = open_database(url, _SCHEMA)

    def begin(self, model: str, cause: str, now: datetime) -> Attempt:
        """A new attempt that is training. Raises: EsteiraError when one is open already."""
        with self._database.transaction() as writer:
            sql = "SELECT count(*) AS many FROM retrain_attempts WHERE model = ?"
            number = writer.execute(sql, (model,)).fetchall()[0]["many"] + 1
            name = f"{now:%Y%m%dT%H%M%S}-{digest_json(['retrain', model, number])[:8]}"
            attempt = Attempt(name, model, AttemptState.TRAINING, cause, now)
            writer.execute(_BEGIN, (*_standing(attempt), name, model, cause, to_micros(now)))
            _log(writer, model, LoopEvent("began", cause, {}, now, name))
        return attempt

    def move(self, before: Attempt, after: Attempt, event: LoopEvent) -> None:
        """Commit a move together with its event. Raises: IllegalStep, AttemptMoved."""
        is_end = after.state is AttemptState.ENDED
        legal_outcomes = _ENDS.get(before.state, frozenset()) if is_end else {None}
        if after.state not in _LEGAL[before.state] or after.outcome not in legal_outcomes:
            raise IllegalStep(before, after)
        with self._database.transaction() as writer:
            moved = writer.execute(_MOVE, (*_standing(after), before.id, before.state, before.step))
            if moved.rowcount != 1:
                raise AttemptMoved(before)
            _log(writer, after.model, event)

    def open_attempt(self, model: str) -> Attempt | None:
        """The attempt that has not ended."""
        sql = "SELECT * FROM retrain_attempts WHERE model = ? AND state <> 'ended'"
        rows = self._database.rows(sql, (model,))
        return _attempt(rows[0]) if rows else None

    def history(self, model: str) -> list[Attempt]:
        """All attempts, oldest first."""
        return [_attempt(row) for row in self._database.rows(_HISTORY, (model,))]

    def events(self, model: str, limit: int = 100) -> list[LoopEvent]:
        """The newest events, oldest of them first."""
        sql = "SELECT * FROM retrain_events WHERE model = ? ORDER BY id DESC LIMIT ?"
        return [_event(row) for row in reversed(self._database.rows(sql, (model, limit)))]


def _standing(attempt: Attempt) -> tuple[object, ...]:
    candidate = asdict(attempt.candidate) if attempt.candidate else None
    return (
        attempt.state,
        json_text(candidate, "facts of a candidate"),
        attempt.rollout,
        attempt.step,
        attempt.reason,
        attempt.outcome or "",
        to_micros(attempt.ended_at) if attempt.ended_at else None,
    )


def _attempt(row: Record) -> Attempt:
    candidate = json.loads(row["candidate"])
    return Attempt(
        id=row["id"],
        model=row["model"],
        state=AttemptState(row["state"]),
        cause=row["cause"],
        started_at=from_micros(row["started_at"]),
        candidate=Candidate(**candidate) if candidate else None,
        rollout=row["rollout"],
        step=row["step"],
        reason=row["reason"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        ended_at=None if row["ended_at"] is None else from_micros(row["ended_at"]),
    )


def _log(writer: Writer, model: str, event: LoopEvent) -> None:
    facts = json_text(dict(event.facts), "facts of an event")
    writer.execute(_LOG, (event.attempt, model, to_micros(event.at), event.kind, event.message, facts))


def _event(row: Record) -> LoopEvent:
    return LoopEvent(
        row["kind"], row["message"], json.loads(row["facts"]), from_micros(row["at"]), row["attempt"]
    )
