"""What the monitors saw, window by window: the memory behind the charts and the alarms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.clock import from_micros, to_micros

if TYPE_CHECKING:
    from datetime import datetime

    from esteira.base.databases.port import Record, SqlDatabase

_SCHEMA = """
CREATE TABLE IF NOT EXISTS observations (
    kind TEXT NOT NULL, subject TEXT NOT NULL, started BIGINT NOT NULL, ended BIGINT NOT NULL,
    version BIGINT NOT NULL, value DOUBLE PRECISION, low DOUBLE PRECISION, high DOUBLE PRECISION,
    threshold DOUBLE PRECISION, rows BIGINT NOT NULL, labelled BIGINT NOT NULL, verdict TEXT NOT NULL,
    PRIMARY KEY (kind, subject, ended)
)
"""
_FIELDS = "kind, subject, started, ended, version, value, low, high, threshold, rows, labelled, verdict"
_KEEP = f"""
INSERT INTO observations ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, subject, ended) DO UPDATE SET
    started = excluded.started, version = excluded.version, value = excluded.value, low = excluded.low,
    high = excluded.high, threshold = excluded.threshold, rows = excluded.rows,
    labelled = excluded.labelled, verdict = excluded.verdict
"""


@dataclass(frozen=True, slots=True)
class Observation:
    """One monitor's word on one window."""

    kind: str  # performance or drift
    subject: str  # a metric, or a column
    start: datetime
    end: datetime
    version: int  # the champion that was watched
    value: float | None
    low: float | None
    high: float | None
    threshold: float | None  # beyond it the verdict is bad
    rows: int
    labelled: int
    verdict: str

    @property
    def maturity(self) -> float:
        """The share of the window's predictions whose label has come."""
        return self.labelled / self.rows if self.rows else 0.0


class Observations:
    """The observations of one project, in its state database."""

    def __init__(self, state: SqlDatabase) -> None:
        self._state = state
        state.ensure(_SCHEMA)

    def keep(self, seen: list[Observation]) -> None:
        """Write one window's observations together; the same window again replaces them."""
        rows = [
            (
                *(o.kind, o.subject, to_micros(o.start), to_micros(o.end), o.version),
                *map(_known, (o.value, o.low, o.high, o.threshold)),
                *(o.rows, o.labelled, o.verdict),
            )
            for o in seen
        ]
        with self._state.transaction() as writer:
            writer.executemany(_KEEP, rows)

    def last_end(self, kind: str, subject: str | None = None) -> datetime | None:
        """The end of the newest window of a kind, or of one subject."""
        found = self._state.rows(
            "SELECT max(ended) AS ended FROM observations WHERE kind = ? AND subject = coalesce(?, subject)",
            (kind, subject),
        )
        return None if found[0]["ended"] is None else from_micros(found[0]["ended"])

    def of(self, kind: str, subject: str | None = None) -> list[Observation]:
        """All observations of a kind, oldest first."""
        rows = self._state.rows(
            f"SELECT {_FIELDS} FROM observations WHERE kind = ? AND subject = coalesce(?, subject) "
            "ORDER BY ended, subject",
            (kind, subject),
        )
        return [_observation(row) for row in rows]


def _known(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else float(number)  # SQLite has no NaN either


def _observation(row: Record) -> Observation:
    rest = (row[name] for name in _FIELDS.split(", ")[4:])
    return Observation(
        row["kind"], row["subject"], from_micros(row["started"]), from_micros(row["ended"]), *rest
    )
