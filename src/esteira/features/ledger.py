"""How far each view is materialized: one line a view, whatever it has been through, and its last runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from esteira.base.clock import SystemClock, from_micros, to_micros
from esteira.base.databases import open_database
from esteira.base.digest import digest_json
from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from esteira.base.databases.port import Record, Writer
    from esteira.base.ports import Clock
    from esteira.features.views import FeatureView

KEPT_RUNS = 100  # of each view
BEFORE_ALL = int(np.iinfo(np.int64).min)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS feature_views (
    view TEXT PRIMARY KEY, source TEXT NOT NULL, definition TEXT NOT NULL,
    version BIGINT NOT NULL, until BIGINT NOT NULL,
    due BIGINT,  -- null when no row was left for later
    rows BIGINT NOT NULL,
    run TEXT  -- JSON; null when none is under way
);
CREATE TABLE IF NOT EXISTS feature_runs (
    view TEXT NOT NULL, number BIGINT NOT NULL, run TEXT NOT NULL, ended BIGINT NOT NULL,
    PRIMARY KEY (view, number)
);
"""
_KEEP = """
INSERT INTO feature_views (view, source, definition, version, until, due, rows, run)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (view) DO UPDATE SET
    version = excluded.version, until = excluded.until, due = excluded.due, rows = excluded.rows,
    run = excluded.run
"""
_REMEMBER = """
INSERT INTO feature_runs (view, number, run, ended)
SELECT ?, coalesce(max(number), 0) + 1, ?, ? FROM feature_runs WHERE view = ?
"""
_FORGET = """
DELETE FROM feature_runs
WHERE view = ? AND number <= (SELECT max(number) FROM feature_runs WHERE view = ?) - ?
"""


class DefinitionChanged(BadInput):
    """A view that was materialized with another definition under the same version."""

    def __init__(self, view: str) -> None:
        super().__init__(f"view {view!r} was materialized with another definition; raise the view's version")
        self.view = view


class FutureEnd(BadInput):
    """An end that has not come: what will be known by then is not known yet."""

    def __init__(self, until: datetime, now: datetime) -> None:
        super().__init__(f"until {until.isoformat()} lies in the future; it is {now.isoformat()}")
        self.until, self.now = until, now


class Run(msgspec.Struct, frozen=True):
    """A materialization on its way from one moment of a source to a later one; times in UTC microseconds."""

    since: int  # the version that was done before; -1 from the beginning
    version: int
    until_before: int
    until: int
    began: int
    part: int = 0  # of the reading that the run takes
    position: int = 0  # in that part: all before it is in the store
    rows: int = 0  # that became the latest of their keys
    due: int | None = None  # when the first of the rows left for later becomes known


@dataclass(frozen=True, slots=True)
class Entry:
    """What the online store holds of a view at least: all known by `until` in the source's `version`."""

    view: str
    source: str
    definition: str
    version: int = -1  # nothing yet
    until: int = BEFORE_ALL  # UTC microseconds
    due: int | None = None  # when the first of the rows left for later becomes known
    rows: int = 0  # that ever became the latest of their keys
    run: Run | None = None  # begun and not ended

    @property
    def status(self) -> str:
        """`new`, `running` (or killed: the next run goes on from there), or `done`."""
        if self.run is not None:
            return "running"
        return "new" if self.version < 0 else "done"


class FeatureLedger:
    """The ledger of one online store. A line is written only after the rows that it speaks of are stored.

    Opened by a URL of `open_database`. The clock dates runs and says which end lies in the future.
    Raises: as `open_database`.
    >>> from esteira.features.views import FeatureView
    >>> FeatureLedger("sqlite::memory:").entry(FeatureView("weather", ("origin",), ("visib",), "t")).status
    'new'
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self._database = open_database(url, _SCHEMA)

    def entry(self, view: FeatureView) -> Entry:
        """Where a view stands. Raises: DefinitionChanged."""
        definition = digest_json(view.definition())
        found = self._database.rows("SELECT * FROM feature_views WHERE view = ?", (view.qualified,))
        entry = _entry(found[0]) if found else Entry(view.qualified, view.source, definition)
        if entry.definition != definition:
            raise DefinitionChanged(view.qualified)
        return entry

    def entries(self) -> list[Entry]:
        """Where all views stand, by name."""
        return [_entry(row) for row in self._database.rows("SELECT * FROM feature_views ORDER BY view")]

    def end_of(self, until: datetime) -> int:
        """An end in UTC microseconds. Raises: NaiveTime, FutureEnd."""
        micros = to_micros(until, "until")
        if micros > self.clock.micros():
            raise FutureEnd(until, self.clock.now())
        return micros

    def keep(self, entry: Entry) -> None:
        """Write the line of a view, durably."""
        with self._database.transaction() as writer:
            _keep(writer, entry)

    def finish(self, entry: Entry, run: Run) -> None:
        """Write the line of a view whose run has ended, and remember the run."""
        with self._database.transaction() as writer:
            _keep(writer, entry)
            ended = (entry.view, _spelt(run), self.clock.micros(), entry.view)
            writer.execute(_REMEMBER, ended)
            writer.execute(_FORGET, (entry.view, entry.view, KEPT_RUNS))

    def runs(self, view: str) -> list[tuple[Run, datetime]]:
        """The last runs of a view that ended, with when they did, oldest first; at most `KEPT_RUNS`."""
        sql = "SELECT run, ended FROM feature_runs WHERE view = ? ORDER BY number"
        found = self._database.rows(sql, (view,))
        return [(_read(row["run"]), from_micros(row["ended"])) for row in found]


def _keep(writer: Writer, entry: Entry) -> None:
    values: Sequence[object] = (
        entry.view,
        entry.source,
        entry.definition,
        entry.version,
        entry.until,
        entry.due,
        entry.rows,
        None if entry.run is None else _spelt(entry.run),
    )
    writer.execute(_KEEP, values)


def _entry(row: Record) -> Entry:
    names = ("view", "source", "definition", "version", "until", "due", "rows")
    run = None if row["run"] is None else _read(row["run"])
    return Entry(**{name: row[name] for name in names}, run=run)


def _spelt(run: Run) -> str:
    return msgspec.json.encode(run).decode()


def _read(text: str) -> Run:
    return msgspec.json.decode(text, type=Run)
