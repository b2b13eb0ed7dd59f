"""A rollout is data: where it stands survives every process, and every move is recorded before it is made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from esteira.base.clock import from_micros, to_micros
from esteira.base.databases import open_database
from esteira.base.digest import digest_json, json_text
from esteira.base.errors import BadInput, NotFound
from esteira.serving.rollout.state import (
    IllegalMove,
    Rollout,
    RolloutChange,
    RolloutMoved,
    RolloutState,
    RolloutUnderWay,
)
from esteira.serving.rollout.strategies import plan_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from esteira.base.databases.port import Record, Writer
    from esteira.base.ports import AuditTrail, Clock
    from esteira.serving.rollout.plan import RolloutPlan

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rollouts (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, champion_version BIGINT NOT NULL,
    challenger_version BIGINT NOT NULL, plan TEXT NOT NULL, step BIGINT NOT NULL, state TEXT NOT NULL,
    started_at BIGINT NOT NULL, step_since BIGINT NOT NULL, evidence TEXT NOT NULL, reason TEXT NOT NULL
);
DROP INDEX IF EXISTS one_rollout_per_model;
CREATE UNIQUE INDEX IF NOT EXISTS one_active_rollout ON rollouts (model)
    WHERE state IN ('pending', 'running', 'paused');
CREATE TABLE IF NOT EXISTS rollout_changes (
    id BIGINT PRIMARY KEY, rollout TEXT NOT NULL REFERENCES rollouts (id), at BIGINT NOT NULL,
    state TEXT NOT NULL, step BIGINT NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL
);
"""


class RolloutStore:
    """Rollouts in the state database. A move is checked, audited, then committed: a kill between the last
    two leaves an audit record of what was about to be done, and the rollout where it stood.

    Traffic is not touched here: after each move, and after a crash, bring the routes to `Rollout.share`.
    """

    def __init__(self, url: str, audit: AuditTrail, clock: Clock) -> None:
        self._database = open_database(url, _SCHEMA)
        self._audit, self._clock = audit, clock

    def start(
        self, model: str, champion_version: int, challenger_version: int, plan: RolloutPlan, reason: str = ""
    ) -> Rollout:
        """Begin a rollout, pending. Called again for the one under way it returns that one.

        Raises: RolloutUnderWay (another challenger), BadInput (challenger and champion are the same).
        """
        if champion_version == challenger_version:
            raise BadInput(f"version {champion_version} of {model} cannot challenge itself")
        under_way = self.active(model)
        if under_way is not None:
            versions = under_way.champion_version, under_way.challenger_version
            if versions != (champion_version, challenger_version) or under_way.plan != plan:
                raise RolloutUnderWay(under_way)
            return under_way
        now = self._clock.now()
        rollout = Rollout(
            self._next_id(model, now), model, champion_version, challenger_version, plan,
            -1, RolloutState.PENDING, now, now, reason=reason,
        )  # fmt: skip
        self._record("rollout.start", rollout, {"plan": plan.to_plain()})
        with self._database.transaction() as writer:
            taken = writer.execute(_ACTIVE, (model,)).fetchone()
            if taken is not None:  # another process was first
                raise RolloutUnderWay(_rollout(taken))
            _insert(writer, rollout)
            _log(writer, rollout, now)
        return rollout

    def advance(self, rollout: Rollout, reason: str, evidence: Mapping[str, object] | None = None) -> Rollout:
        """Go to the next step. Raises: IllegalMove (finished, paused, or at its last step), RolloutMoved."""
        step = rollout.plan.first_step if rollout.state is RolloutState.PENDING else rollout.step + 1
        if rollout.state is RolloutState.PAUSED or step >= rollout.plan.steps:
            raise IllegalMove(rollout, "widened")
        return self._to_step(rollout, step, "widened", reason, evidence)

    def shift(
        self, rollout: Rollout, step: int, reason: str, evidence: Mapping[str, object] | None = None
    ) -> Rollout:
        """Go to any step, where the plan moves freely. Raises: IllegalMove, RolloutMoved."""
        if not rollout.plan.moves_freely or rollout.state is not RolloutState.RUNNING:
            raise IllegalMove(rollout, "shifted")
        if not 0 <= step < rollout.plan.steps:
            raise IllegalMove(rollout, f"shifted to step {step + 1}")
        return self._to_step(rollout, step, "shifted", reason, evidence)

    def _to_step(
        self, rollout: Rollout, step: int, word: str, reason: str, evidence: Mapping[str, object] | None
    ) -> Rollout:
        if not rollout.is_active:
            raise IllegalMove(rollout, word)
        now, seen = self._clock.now(), dict(evidence or {})
        running = RolloutState.RUNNING
        after = replace(rollout, step=step, state=running, step_since=now, evidence=seen, reason=reason)
        return self._move("rollout.advance", rollout, after)

    def pause(self, rollout: Rollout, reason: str) -> Rollout:
        """Stay at this step until somebody resumes; harm ends it all the same. Paused, it stays what it is.

        Raises: IllegalMove (not running), RolloutMoved.
        """
        return self._switch(rollout, RolloutState.RUNNING, RolloutState.PAUSED, reason)

    def resume(self, rollout: Rollout, reason: str) -> Rollout:
        """Go on from a pause. Running, it stays what it is. Raises: IllegalMove, RolloutMoved."""
        return self._switch(rollout, RolloutState.PAUSED, RolloutState.RUNNING, reason)

    def _switch(self, rollout: Rollout, start: RolloutState, end: RolloutState, reason: str) -> Rollout:
        if rollout.state is end:
            return rollout
        if rollout.state is not start:
            raise IllegalMove(rollout, "paused" if end is RolloutState.PAUSED else "resumed")
        return self._move(
            f"rollout.{'pause' if end is RolloutState.PAUSED else 'resume'}",
            rollout,
            replace(rollout, state=end, reason=reason),
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
        *,
        is_by_hand: bool = False,
    ) -> Rollout:
        """Promote, on evidence from the last step only, or roll back. Finished so, it returns what stands.

        Raises: IllegalMove, RolloutMoved.
        """
        found = self.get(rollout.id)
        if found.state is state:
            return found
        may_promote = rollout.is_at_last_step or (is_by_hand and rollout.has_begun)
        if not rollout.is_active or (state is RolloutState.PROMOTED and not may_promote):
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
        return [_rollout(row) for row in self._database.rows(_HISTORY, (model,))]

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
        values = (after.step, str(after.state), to_micros(after.step_since), evidence, after.reason)
        with self._database.transaction() as writer:
            moved = writer.execute(_MOVE, (*values, before.id, before.step, str(before.state))).fetchall()
            if len(moved) != 1:
                raise RolloutMoved(before)
            _log(writer, after, self._clock.now())
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


_ACTIVE = "SELECT * FROM rollouts WHERE model = ? AND state IN ('pending', 'running', 'paused')"
_HISTORY = (
    "SELECT * FROM rollouts WHERE model = ? ORDER BY "  # by their first change: clocks are set back
    "(SELECT min(id) FROM rollout_changes WHERE rollout_changes.rollout = rollouts.id)"
)
_MOVE = (
    "UPDATE rollouts SET step = ?, state = ?, step_since = ?, evidence = ?, reason = ? "
    "WHERE id = ? AND step = ? AND state = ? RETURNING id"
)
_INSERT = (
    "INSERT INTO rollouts (id, model, champion_version, challenger_version, plan, step, state, started_at, "
    "step_since, evidence, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_LOG = (
    "INSERT INTO rollout_changes (id, rollout, at, state, step, reason, evidence) "
    "VALUES ((SELECT coalesce(max(id), 0) + 1 FROM rollout_changes), ?, ?, ?, ?, ?, ?)"
)


def _insert(writer: Writer, rollout: Rollout) -> None:
    versions = rollout.champion_version, rollout.challenger_version
    plan, evidence = json_text(rollout.plan.to_plain(), "plan"), json_text(dict(rollout.evidence), "evidence")
    times = to_micros(rollout.started_at), to_micros(rollout.step_since)
    values = (rollout.id, rollout.model, *versions, plan, rollout.step, str(rollout.state))
    writer.execute(_INSERT, (*values, *times, evidence, rollout.reason))


def _log(writer: Writer, rollout: Rollout, at: datetime) -> None:
    evidence = json_text(dict(rollout.evidence), "evidence")
    values = (rollout.id, to_micros(at), str(rollout.state), rollout.step, rollout.reason, evidence)
    writer.execute(_LOG, values)


def _rollout(row: Record) -> Rollout:
    return Rollout(
        id=row["id"],
        model=row["model"],
        champion_version=row["champion_version"],
        challenger_version=row["challenger_version"],
        plan=plan_of(json.loads(row["plan"])),
        step=row["step"],
        state=RolloutState(row["state"]),
        started_at=from_micros(row["started_at"]),
        step_since=from_micros(row["step_since"]),
        evidence=json.loads(row["evidence"]),
        reason=row["reason"],
    )


def _change(row: Record) -> RolloutChange:
    return RolloutChange(
        rollout=row["rollout"],
        at=from_micros(row["at"]),
        state=RolloutState(row["state"]),
        step=row["step"],
        reason=row["reason"],
        evidence=json.loads(row["evidence"]),
    )
