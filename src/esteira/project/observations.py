"""What the monitors saw, window by window: the memory behind the charts and the alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.clock import from_micros, to_micros

if TYPE_CHECKING:
    from datetime import datetime

    from esteira.base.sqlite import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS observations (
    kind TEXT NOT NULL, subject TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,
    version INTEGER NOT NULL, value REAL, low REAL, high REAL, threshold REAL,
    rows INTEGER NOT NULL, labelled INTEGER NOT NULL, verdict TEXT NOT NULL,
    PRIMARY KEY (kind, subject, ended)
) WITHOUT ROWID
"""
_FIELDS = "kind, subject, started, ended, version, value, low, high, threshold, rows, labelled, verdict"


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

    def __init__(self, state: Database) -> None:
        self._state = state
        state.ensure(_SCHEMA)

    def keep(self, seen: list[Observation]) -> None:
        """Write one window's observations together; the same window again replaces them."""
        rows = [
            (
                *(o.kind, o.subject, to_micros(o.start), to_micros(o.end), o.version, o.value),
                *(o.low, o.high, o.threshold, o.rows, o.labelled, o.verdict),
            )
            for o in seen
        ]
        with self._state.transaction() as writer:
            writer.executemany(
                f"INSERT OR REPLACE INTO observations ({_FIELDS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows
            )

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
        return [
            Observation(row[0], row[1], from_micros(row[2]), from_micros(row[3]), *tuple(row)[4:])
            for row in rows
        ]
