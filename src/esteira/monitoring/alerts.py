"""Alerts that neither flap nor forget: separate thresholds to enter and to leave, dwell, and a history.

    ok        beyond enter → pending; after `dwell` such observations in a row → firing
    pending   no longer beyond enter → ok
    firing    within exit → resolving; after `dwell` such observations in a row → ok
    resolving no longer within exit → firing

Between the two thresholds an alert stays what it is. Without enough data nothing changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.clock import from_micros, to_micros
from esteira.base.errors import BadInput
from esteira.base.records import Alert, AlertState

if TYPE_CHECKING:
    from datetime import datetime

    from esteira.base.databases.port import Record, SqlDatabase, Writer

OK, PENDING, FIRING, RESOLVING = AlertState.OK, AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVING

_SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    monitor TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL, since BIGINT NOT NULL,
    streak BIGINT NOT NULL, seen BIGINT, value DOUBLE PRECISION NOT NULL,
    threshold DOUBLE PRECISION NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (monitor, subject)
);
CREATE TABLE IF NOT EXISTS alert_transitions (
    id BIGINT NOT NULL PRIMARY KEY, monitor TEXT NOT NULL, subject TEXT NOT NULL, previous TEXT NOT NULL,
    state TEXT NOT NULL, at BIGINT NOT NULL, value DOUBLE PRECISION NOT NULL,
    threshold DOUBLE PRECISION NOT NULL, message TEXT NOT NULL
);
"""
_KEEP = """
INSERT INTO alerts (monitor, subject, state, since, streak, seen, value, threshold, message)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (monitor, subject) DO UPDATE SET
    state = excluded.state, since = excluded.since, streak = excluded.streak, seen = excluded.seen,
    value = excluded.value, threshold = excluded.threshold, message = excluded.message
"""
_REMEMBER = """
INSERT INTO alert_transitions (id, monitor, subject, previous, state, at, value, threshold, message)
VALUES ((SELECT coalesce(max(id), 0) + 1 FROM alert_transitions), ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of an alert's state, with the evidence for it."""

    monitor: str
    subject: str
    previous: AlertState
    state: AlertState
    at: datetime
    value: float
    threshold: float
    message: str


@dataclass(frozen=True, slots=True)
class _Observation:
    value: float
    enter: float
    exit: float
    micros: int
    message: str

    @property
    def high_is_bad(self) -> bool:
        return self.enter >= self.exit

    @property
    def is_beyond_enter(self) -> bool:
        return self.value > self.enter if self.high_is_bad else self.value < self.enter

    @property
    def is_within_exit(self) -> bool:
        return self.value <= self.exit if self.high_is_bad else self.value >= self.exit


@dataclass(frozen=True, slots=True)
class _Standing:
    state: AlertState = OK
    since: int = 0
    streak: int = 0  # observations in a row that speak for leaving the state
    seen: int | None = None  # when the last observation with enough data was made
    value: float = 0.0
    threshold: float = 0.0
    message: str = ""

    def alert(self, monitor: str, subject: str) -> Alert:
        since = from_micros(self.since)
        return Alert(monitor, subject, self.state, since, self.value, self.threshold, self.message)


class AlertMachine:
    """The state of every alert of a project, kept in its state database.

    `dwell` is how many observations in a row it takes to fire, and to resolve.
    """

    def __init__(self, state: SqlDatabase, *, dwell: int = 2) -> None:
        if dwell < 1:
            raise BadInput(f"dwell must be at least one observation, found {dwell}")
        self._database, self._dwell = state, dwell
        state.ensure(_SCHEMA)

    def observe(  # noqa: PLR0913 - one observation, its parts by name
        self,
        monitor: str,
        subject: str,
        *,
        value: float,
        enter: float,
        exit: float,
        now: datetime,
        message: str = "",
        enough: bool = True,
    ) -> Alert:
        """Take one observation; gives the alert as it now stands.

        The thresholds say which side is bad: values above `enter` when it is not below `exit`, else values
        below. Without enough data nothing changes, so silence neither fires nor resolves. `now` is the
        time of the observation: one that repeats the last (same time and value, as after a crash), or is
        older, changes nothing either.

        Raises: BadInput (a value or threshold that is not finite), NaiveTime.
        """
        micros = to_micros(now, "now")
        if not enough:
            value, enter, exit = 0.0, 0.0, 0.0
        if not all(map(math.isfinite, (value, enter, exit))):
            raise BadInput(
                f"{monitor}/{subject}: {value}, {enter}, {exit} are not all finite; give enough=False"
            )
        observation = _Observation(float(value), float(enter), float(exit), micros, message)
        with self._database.transaction() as writer:
            standing = _read(writer, monitor, subject) or _Standing(since=micros, message=message)
            changed = _next(standing, observation, self._dwell) if enough else standing
            _write(writer, (monitor, subject), standing, changed)
        return changed.alert(monitor, subject)

    def alerts(self) -> list[Alert]:
        """Every alert as it stands, by monitor and subject."""
        rows = self._database.rows("SELECT * FROM alerts ORDER BY monitor, subject")
        return [_standing(row).alert(row["monitor"], row["subject"]) for row in rows]

    def history(self) -> list[Transition]:
        """Every change of state, oldest first."""
        rows = self._database.rows("SELECT * FROM alert_transitions ORDER BY id")
        return [
            Transition(
                row["monitor"],
                row["subject"],
                AlertState(row["previous"]),
                AlertState(row["state"]),
                from_micros(row["at"]),
                row["value"],
                row["threshold"],
                row["message"],
            )
            for row in rows
        ]


def _next(standing: _Standing, seen: _Observation, dwell: int) -> _Standing:
    if standing.seen is not None and (
        seen.micros < standing.seen or (seen.micros, seen.value) == (standing.seen, standing.value)
    ):
        return standing
    is_quiet = standing.state in (OK, PENDING)
    leans = seen.is_beyond_enter if is_quiet else seen.is_within_exit
    streak = standing.streak + 1 if leans else 0
    rest, on_the_way, reached = (OK, PENDING, FIRING) if is_quiet else (FIRING, RESOLVING, OK)
    state = reached if streak >= dwell else on_the_way if streak else rest
    return _Standing(
        state=state,
        since=standing.since if state is standing.state else seen.micros,
        streak=0 if state is reached else streak,
        seen=seen.micros,
        value=seen.value,
        threshold=seen.enter if is_quiet else seen.exit,
        message=seen.message,
    )


def _read(writer: Writer, monitor: str, subject: str) -> _Standing | None:
    sql = "SELECT * FROM alerts WHERE monitor = ? AND subject = ?"
    row = writer.execute(sql, (monitor, subject)).fetchone()
    return None if row is None else _standing(row)


def _standing(row: Record) -> _Standing:
    return _Standing(
        AlertState(row["state"]),
        row["since"],
        row["streak"],
        row["seen"],
        row["value"],
        row["threshold"],
        row["message"],
    )


def _write(writer: Writer, key: tuple[str, str], before: _Standing, now: _Standing) -> None:
    evidence = (now.value, now.threshold, now.message)
    writer.execute(_KEEP, (*key, now.state, now.since, now.streak, now.seen, *evidence))
    if now.state is not before.state:
        writer.execute(_REMEMBER, (*key, before.state, now.state, now.since, *evidence))
