"""Bring what the sources have published into the tables, each row exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from esteira.base.clock import EPOCH, from_micros, to_micros
from esteira.base.errors import EsteiraError
from esteira.data.checks import BatchRefused, NotNull
from esteira.data.ingestion import Ingested, Ports, declare, ingest
from esteira.project.pushes import take_pushes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from esteira.data.checks import Reason
    from esteira.project.definition import TableSource
    from esteira.project.station import Station

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ingests (
    name TEXT NOT NULL, since BIGINT NOT NULL, until BIGINT NOT NULL,
    rows BIGINT,  -- null until the range is done
    PRIMARY KEY (name, since)
);
"""


class SourceFailed(EsteiraError):
    """A source that could not be read; nothing of it was written."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"source {source!r} could not be read: {reason}; mend it and run again")
        self.source, self.reason = source, reason


def ingest_new(station: Station, until: datetime) -> dict[str, Ingested]:
    """Append what each source published since the last time, up to `until`; returns what came, by table.

    A table without source takes what was pushed to it by now.
    The range is written down before its rows are appended, so a killed ingest is finished, not repeated.
    A row without a time that a view needs is set aside, in the table's quarantine.
    Raises: SourceFailed, and what `ingest` raises; of a batch that is refused the range stays open, so that
    the next time it is read together with what has come since.
    """
    sources = station.project.tables  # a project that cannot be loaded leaves no trace
    station.state.ensure(_SCHEMA)
    came: dict[str, Ingested] = {}
    for source in sources:
        if source.read is None:
            for taken in take_pushes(station, source):
                _add(came, source.name, taken)
            continue
        while (span := _begun(station, source, to_micros(until))) is not None:
            rows = read_source(source, from_micros(span[0]), from_micros(span[1]))
            if rows.num_rows:
                _add(came, source.name, _append(station, source, rows, span))
            with station.state.transaction() as writer:
                writer.execute(
                    "UPDATE ingests SET rows = ? WHERE name = ? AND since = ?",
                    (rows.num_rows, source.name, span[0]),
                )
    return came


def read_source(source: TableSource, since: datetime, until: datetime) -> pa.Table:
    """What a source published in (since, until]; nothing, if its rows are pushed. Raises: SourceFailed."""
    if source.read is None:
        return pa.table({})
    try:
        rows = source.read(since, until)
    except EsteiraError:
        raise
    except Exception as raised:  # the project's own code may raise anything
        raise SourceFailed(source.name, f"{type(raised).__name__}: {raised}") from raised
    if not isinstance(rows, pa.Table):
        raise SourceFailed(source.name, f"it must give a pyarrow.Table, found {type(rows).__name__}")
    return rows


def _append(station: Station, source: TableSource, rows: pa.Table, span: tuple[int, int]) -> Ingested:
    token = f"{span[0]}..{span[1]}"
    ports: Ports = {"clock": station.clock, "audit": station.audit}
    if source.schema is not None:
        rows = declare(station.tables, source.name, source.schema, rows, audit=station.audit)
    checks = [*source.checks, Dated(_times_of(station, source.name, rows))]
    try:
        return ingest(station.tables, source.name, rows, checks, token=token, **ports)
    except BatchRefused:
        if station.tables.holding(source.name, token) is None:  # nothing of the range was ever written
            with station.state.transaction() as writer:
                writer.execute("DELETE FROM ingests WHERE name = ? AND since = ?", (source.name, span[0]))
        raise


@dataclass(frozen=True, slots=True)
class Dated:
    """A check: these columns hold the times of views. A row without one would stop them, and it stays."""

    columns: tuple[str, ...]

    def refusal(self, rows: pa.Table, now: datetime) -> str:
        del now
        mend = "views take their times from it: declare it as a timestamp in the schema of its source"
        kinds = {name: rows[name].type for name in self.columns}
        wrong = [f"{name} is {kind}" for name, kind in kinds.items() if not pa.types.is_timestamp(kind)]
        return f"{', '.join(wrong)}, and {mend}" if wrong else ""

    def reasons(self, rows: pa.Table) -> Iterator[Reason]:
        return NotNull(self.columns).reasons(rows)


def _times_of(station: Station, table: str, rows: pa.Table) -> tuple[str, ...]:
    """The columns with the times of a table's views; one that is not there is the views' affair."""
    views = [view for view in station.project.views if view.source == table]
    times = {view.window.time if view.window else view.event_time for view in views}
    times |= {view.known_by for view in views if view.known_by}
    return tuple(sorted(times & {*rows.column_names}))


def _add(came: dict[str, Ingested], name: str, more: Ingested) -> None:
    """Count a second range of one table together with the first."""
    before = came.get(name)
    if before is not None:
        names = {*before.reasons, *more.reasons}
        reasons = {each: before.reasons.get(each, 0) + more.reasons.get(each, 0) for each in sorted(names)}
        accepted, aside = before.accepted + more.accepted, before.quarantined + more.quarantined
        more = Ingested(more.version, accepted, aside, reasons)
    came[name] = more


def _begun(station: Station, source: TableSource, until_us: int) -> tuple[int, int] | None:
    """The range to read next: one that was interrupted before anything new; None when all is read."""
    with station.state.transaction() as writer:
        last = writer.execute(
            "SELECT since, until, rows FROM ingests WHERE name = ? ORDER BY since DESC LIMIT 1",
            (source.name,),
        ).fetchone()
        if last is not None and last["rows"] is None:
            return last["since"], last["until"]
        reached = to_micros(EPOCH) if last is None else last["until"]
        if until_us <= reached:
            return None
        writer.execute(
            "INSERT INTO ingests (name, since, until) VALUES (?, ?, ?)", (source.name, reached, until_us)
        )
    return reached, until_us


def newest_published(station: Station) -> datetime | None:
    """When rows came last: the end of the newest range that brought some, or the newest push.

    It is the moment that a run stands for.
    """
    station.state.ensure(_SCHEMA)
    found = station.state.rows("SELECT max(until) AS until FROM ingests WHERE rows > 0")
    until, there = found[0]["until"], {*station.tables.names()}
    moments = [] if until is None else [from_micros(until)]
    pushed = {each.name for each in station.project.tables if each.read is None}
    newest = [station.tables.version(name) for name in pushed & there]
    moments += [version.committed_at for version in newest if version.rows]
    return max(moments, default=None)
