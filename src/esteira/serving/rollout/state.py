"""A rollout is data: where it stands survives every process, and every move is recorded before it is made.

pending → running at step 0, 1, … → promoted (only from the last step)
     └──────────┴─────────────────→ rolled back
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from esteira.base.clock import from_micros, to_micros
from esteira.base.digest import digest_json, json_text
from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.base.sqlite import Database
from esteira.serving.rollout.plan import CanaryPlan

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from datetime import datetime

    from esteira.base.ports import AuditTrail, Clock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rollouts (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, champion_version INTEGER NOT NULL,
    challenger_version INTEGER NOT NULL, plan TEXT NOT NULL, step INTEGER NOT NULL, state TEXT NOT NULL,
    started_at INTEGER NOT NULL, step_since INTEGER NOT NULL, evidence TEXT NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_rollout_per_model ON rollouts (model)
    WHERE state IN ('pending', 'running');
CREATE TABLE IF NOT EXISTS rollout_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, rollout TEXT NOT NULL REFERENCES rollouts (id), at INTEGER NOT NULL,
    state TEXT NOT NULL, step INTEGER NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL
) STRICT;
"""


class RolloutState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"


class IllegalMove(BadInput):
    """A move that the state of the rollout does not allow."""

    def __init__(self, rollout: Rollout, move: str) -> None:
        super().__init__(
            f"rollout {rollout.id} is {rollout.standing} and cannot be {move}; see: esteira status"
        )
        self.rollout, self.move = rollout, move


class RolloutUnderWay(BadInput):
    """A model has one rollout at a time."""

    def __init__(self, rollout: Rollout) -> None:
        super().__init__(
            f"version {rollout.challenger_version} of {rollout.model} is being rolled out already"
            f" ({rollout.standing}); wait for its verdict, or stop it with: esteira rollback"
        )
        self.rollout = rollout


class RolloutMoved(EsteiraError):
    """Another process moved the rollout first."""

    def __init__(self, rollout: Rollout) -> None:
        super().__init__(f"rollout {rollout.id} is not {rollout.standing} any more; read it again")
        self.rollout = rollout


@dataclass(frozen=True, slots=True)
class Rollout:
    """A challenger on its way into the traffic of a model."""

    id: str
    model: str
    champion_version: int
    challenger_version: int
    plan: CanaryPlan
    step: int  # -1 while pending
    state: RolloutState
    started_at: datetime
    step_since: datetime
    evidence: Mapping[str, object] = field(default_factory=dict)  # of the newest verdict, JSON values
    reason: str = ""  # of the newest change

    @property
    def share(self) -> float:
        """The part of the traffic that the challenger should have now: what routes are brought to."""
        if self.state is RolloutState.PROMOTED:
            return 1.0
        return self.plan.shares[self.step] if self.state is RolloutState.RUNNING else 0.0

    @property
    def is_active(self) -> bool:
        return self.state in (RolloutState.PENDING, RolloutState.RUNNING)

    @property
    def is_at_last_step(self) -> bool:
        return self.state is RolloutState.RUNNING and self.step == self.plan.steps - 1

    @property
    def standing(self) -> str:
        """State and step in words."""
        if self.state is RolloutState.RUNNING:
            return f"running at step {self.step + 1} of {self.plan.steps}"
        return self.state.value


@dataclass(frozen=True, slots=True)
class RolloutChange:
    """One move of a rollout, or a look that kept it where it was."""

    rollout: str
    at: datetime
    state: RolloutState
    step: int
    reason: str
    evidence: Mapping[str, object]


class RolloutStore:
    """Rollouts in the state database. A move is checked, audited, then committed: a kill between the last
    two leaves an audit record of what was about to be done, and the rollout where it stood.

    Traffic is not touched here: after each move, and after a crash, bring the routes to `Rollout.share`.
    """

    def __init__(self, url: str, audit: AuditTrail, clock: Clock) -> None:
        self._database = Database(url, _SCHEMA)
        self._audit, self._clock = audit, clock

    def start(
        self, model: str, champion_version: int, challenger_version: int, plan: CanaryPlan, reason: str = ""
    ) -> Rollout:
        """Begin a rollout, pending. Called again for the one under way it returns that one.

        Raises: RolloutUnderWay (another challenger), BadInput (challenger and champion are the same).
        """
        if champion_version == challenger_version:
            raise BadInput(f"version {champion_version} of {model} cannot challenge itself")
        under_way = self.active(model)
        if under_way is not None:
            if (under_way.champion_version, under_way.challenger_version) != (
                champion_version,
                challenger_version,
            ):
                raise RolloutUnderWay(under_way)
            return under_way
        now = self._clock.now()
        rollout = Rollout(
            self._next_id(model, now), model, champion_version, challenger_version, plan,
            -1, RolloutState.PENDING, now, now, reason=reason,
        )  # fmt: skip
        self._record("rollout.start", rollout, {"plan": plan.to_plain()})
        with self._database.transaction() as connection:
            taken = connection.execute(_ACTIVE, (model,)).fetchone()
            if taken is not None:  # another process was first
                raise RolloutUnderWay(_rollout(taken))
            _insert(connection, rollout)
            _log(connection, rollout, now)
        return rollout

    def advance(self, rollout: Rollout, reason: str, evidence: Mapping[str, object] | None = None) -> Rollout:
        """Widen to the next share. Raises: IllegalMove (finished, or at its last step), RolloutMoved."""
        if not rollout.is_active or rollout.is_at_last_step:
            raise IllegalMove(rollout, "widened")
        now = self._clock.now()
        return self._move(
            "rollout.advance",
            rollout,
            replace(
                rollout,
                step=rollout.step + 1,
                state=RolloutState.RUNNING,
                step_since=now,
                evidence=dict(evidence or {}),
                reason=reason,
            ),
        )

    def hold(self, rollout: Rollout, reason: str, evidence: Mapping[str, object] | None = None) -> Rollout:
        """Keep the rollout where it stands and remember what was seen; nothing that serves changes.

        Raises: IllegalMove (finished), RolloutMoved.
        """
        if not rollout.is_active:
            raise IllegalMove(rollout, "held")
        return self._move("", rollout, replace(rollout, evidence=dict(evidence or {}), reason=reason))

    def finish(
        self,
        rollout: Rollout,
        state: Literal[RolloutState.PROMOTED, RolloutState.ROLLED_BACK],
        reason: str,
        evidence: Mapping[str, object] | None = None,
    ) -> Rollout:
        """Promote, from the last step only, or roll back. Finished so already, it returns what stands.

        Raises: IllegalMove, RolloutMoved.
        """
        if self.get(rollout.id).state is state:
            return self.get(rollout.id)
        if not rollout.is_active or (state is RolloutState.PROMOTED and not rollout.is_at_last_step):
            raise IllegalMove(rollout, state.value)
        after = replace(rollout, state=state, evidence=dict(evidence or {}), reason=reason)
        return self._move("rollout.finish", rollout, after)

    def get(self, rollout_id: str) -> Rollout:
        """Raises: NotFound."""
        rows = self._database.rows("SELECT * FROM rollouts WHERE id = ?", (rollout_id,))
        if not rows:
            raise NotFound("rollout", rollout_id)
        return _rollout(rows[0])

    def active(self, model: str) -> Rollout | None:
        """The rollout of a model that is under way."""
        rows = self._database.rows(_ACTIVE, (model,))
        return _rollout(rows[0]) if rows else None

    def history(self, model: str) -> list[Rollout]:
        """All rollouts of a model, oldest first."""
        sql = "SELECT * FROM rollouts WHERE model = ? ORDER BY started_at, rowid"
        return [_rollout(row) for row in self._database.rows(sql, (model,))]

    def changes(self, rollout_id: str) -> list[RolloutChange]:
        """Every move of a rollout and every look that held it, oldest first."""
        sql = "SELECT * FROM rollout_changes WHERE rollout = ? ORDER BY id"
        return [_change(row) for row in self._database.rows(sql, (rollout_id,))]

    def _next_id(self, model: str, now: datetime) -> str:
        earlier = self._database.rows("SELECT count(*) AS many FROM rollouts WHERE model = ?", (model,))
        return f"{now:%Y%m%dT%H%M%S}-{digest_json([model, earlier[0]['many'] + 1])[:8]}"

    def _move(self, action: str, before: Rollout, after: Rollout) -> Rollout:
        evidence = json_text(dict(after.evidence), "evidence")
        if action:
            self._record(action, after, {"from": before.standing, "evidence": after.evidence})
        with self._database.transaction() as connection:
            moved = connection.execute(
                "UPDATE rollouts SET step = ?, state = ?, step_since = ?, evidence = ?, reason = ?"
                " WHERE id = ? AND step = ? AND state = ?",
                (after.step, after.state, to_micros(after.step_since), evidence, after.reason,
                 before.id, before.step, before.state),
            )  # fmt: skip
            if moved.rowcount != 1:
                raise RolloutMoved(before)
            _log(connection, after, self._clock.now())
        return after

    def _record(self, action: str, after: Rollout, facts: Mapping[str, object]) -> None:
        known = {
            "rollout": after.id,
            "champion": after.champion_version,
            "challenger": after.challenger_version,
            "to": after.standing,
            "share": after.share,
        }
        self._audit.record(action, f"model/{after.model}", reason=after.reason, facts=known | dict(facts))


_ACTIVE = "SELECT * FROM rollouts WHERE model = ? AND state IN ('pending', 'running')"


def _insert(connection: sqlite3.Connection, rollout: Rollout) -> None:
    connection.execute(
        "INSERT INTO rollouts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            rollout.id, rollout.model, rollout.champion_version, rollout.challenger_version,
            json_text(rollout.plan.to_plain(), "plan"), rollout.step, rollout.state,
            to_micros(rollout.started_at), to_micros(rollout.step_since),
            json_text(dict(rollout.evidence), "evidence"), rollout.reason,
        ),
    )  # fmt: skip


def _log(connection: sqlite3.Connection, rollout: Rollout, at: datetime) -> None:
    connection.execute(
        "INSERT INTO rollout_changes (rollout, at, state, step, reason, evidence) VALUES (?, ?, ?, ?, ?, ?)",
        (rollout.id, to_micros(at), rollout.state, rollout.step, rollout.reason,
         json_text(dict(rollout.evidence), "evidence")),
    )  # fmt: skip


def _rollout(row: sqlite3.Row) -> Rollout:
    return Rollout(
        id=row["id"],
        model=row["model"],
        champion_version=row["champion_version"],
        challenger_version=row["challenger_version"],
        plan=CanaryPlan.from_plain(json.loads(row["plan"])),
        step=row["step"],
        state=RolloutState(row["state"]),
        started_at=from_micros(row["started_at"]),
        step_since=from_micros(row["step_since"]),
        evidence=json.loads(row["evidence"]),
        reason=row["reason"],
    )


def _change(row: sqlite3.Row) -> RolloutChange:
    return RolloutChange(
        rollout=row["rollout"],
        at=from_micros(row["at"]),
        state=RolloutState(row["state"]),
        step=row["step"],
        reason=row["reason"],
        evidence=json.loads(row["evidence"]),
    )
