"""What the gateway logged of a rollout: answers of both versions with their labels, and what failed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from esteira.monitoring.failure_log import FAILURES, SHADOW_FAILURES
from esteira.monitoring.prediction_log import PREDICTIONS, SHADOWS
from esteira.project.release import CHALLENGER, CHAMPION
from esteira.project.watch import predictions
from esteira.serving.rollout.evidence import ArmSeen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout

_REFERENCE = timedelta(days=1)  # before the rollout: the champion's usual answers, once it gets no traffic
_NARROW = ("id", "at", "model", "version", "arm", "revision", "key", "score", "latency")  # not the vectors
_NOTHING_FAILED = pa.table(
    {
        "at": pa.array([], pa.timestamp("us", tz="UTC")),
        "model": pa.array([], pa.string()),
        "version": pa.array([], pa.int32()),
        "arm": pa.array([], pa.string()),
    }
)


class RolloutLog:
    """Reads the tables for one rollout; answers that were pinned or outside its segments are left out."""

    def __init__(self, station: Station, rollout: Rollout) -> None:
        self._station, self._model, self._plan = station, rollout.model, rollout.plan
        self._began = rollout.started_at
        self._versions = {CHAMPION: rollout.champion_version, CHALLENGER: rollout.challenger_version}
        self._before: pa.Table | None = None  # what the champion answered the day before

    def answers(self, now: datetime) -> pa.Table:
        """What both answered up to now with labels, not vectors; of a shadow each request stands twice."""
        rows = self._of_model(predictions(self._station, self._began, now, _NARROW))
        champion = self._arm(rows, CHAMPION)
        if self._plan.mirrored:
            return self._with_shadows(champion, now)
        return pa.concat_tables([champion, self._arm(rows, CHALLENGER)])

    def failures(self, now: datetime) -> pa.Table:
        """When either was asked up to now and did not answer: columns at, model, version, arm."""
        where = {CHAMPION: FAILURES, CHALLENGER: SHADOW_FAILURES if self._plan.mirrored else FAILURES}
        found = [_NOTHING_FAILED]
        for arm, table in where.items():
            rows = self._logged(table, now, _NOTHING_FAILED.column_names)
            if rows.num_rows:
                found.append(self._arm(rows, arm).cast(_NOTHING_FAILED.schema))
        return pa.concat_tables(found)

    def before(self) -> pa.Table:
        """What the champion answered on the day before the rollout, in the columns of `answers`."""
        if self._before is None:
            rows = predictions(self._station, self._began - _REFERENCE, self._began, _NARROW)
            rows = self._of_model(rows)
            self._before = rows.filter(pc.equal(rows["version"], self._versions[CHAMPION]))
        return self._before

    def with_vectors(self, rows: pa.Table, *, are_shadows: bool = False) -> pa.Table:
        """The rows with what their models saw, read for these alone."""
        if not rows.num_rows:
            return rows.append_column("vector", pa.array([], pa.list_(pa.float64())))
        span = pc.min_max(rows["at"]).as_py()
        when = [("at", ">=", span["min"]), ("at", "<=", span["max"])]
        table = SHADOWS if are_shadows else PREDICTIONS
        logged = self._station.tables.read(table, columns=["id", "vector"], where=when)
        place = pc.index_in(rows["id"], value_set=logged["id"].combine_chunks())
        return rows.append_column("vector", logged["vector"].take(place))

    def _with_shadows(self, rows: pa.Table, now: datetime) -> pa.Table:
        shadows = self._logged(SHADOWS, now, _NARROW)
        if not shadows.num_rows:
            return rows
        shadows = self._arm(shadows, CHALLENGER)
        place = pc.index_in(shadows["id"], value_set=rows["id"].combine_chunks())
        for name in ("label", "label_at"):
            shadows = shadows.append_column(name, rows[name].take(place))
        return pa.concat_tables([rows, shadows.select(rows.column_names)])

    def _logged(self, table: str, now: datetime, columns: Sequence[str]) -> pa.Table:
        if table not in self._station.tables.names():
            return pa.table({})
        when = [("at", ">=", self._began), ("at", "<", now)]
        return self._of_model(self._station.tables.read(table, columns=columns, where=when))

    def _of_model(self, rows: pa.Table) -> pa.Table:
        return rows.filter(pc.equal(rows["model"], self._model)) if rows.num_rows else rows

    def _arm(self, rows: pa.Table, arm: str) -> pa.Table:
        is_arm, is_version = pc.equal(rows["arm"], arm), pc.equal(rows["version"], self._versions[arm])
        return rows.filter(pc.and_(is_arm, is_version))


def of_arm(rows: pa.Table, name: str) -> pa.Table:
    """The rows that an arm answered, or failed to."""
    return rows.filter(pc.equal(rows["arm"], name))


def in_step(rows: pa.Table, rollout: Rollout) -> int:
    """How many of the rows are of the step at which the rollout stands."""
    return int(pc.sum(pc.greater_equal(rows["at"], rollout.step_since)).as_py() or 0)


def seen(answered: pa.Table, failed: pa.Table) -> ArmSeen:
    """What a version did, from its answers and its failures."""
    return ArmSeen(
        answered.num_rows + failed.num_rows,
        failed.num_rows,
        answered["latency"].to_numpy(),
        answered["score"].to_numpy(),
    )
