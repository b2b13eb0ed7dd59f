"""Bring what the sources have published into the tables, each row exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.clock import EPOCH, from_micros, to_micros
from esteira.data.ingestion import ingest

if TYPE_CHECKING:
    from datetime import datetime

    from esteira.data.ingestion import Ingested
    from esteira.project.definition import TableSource
    from esteira.project.station import Station

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ingests (
    name TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,
    rows INTEGER,  -- null until the range is done
    PRIMARY KEY (name, since)
);
"""


def ingest_new(station: Station, until: datetime) -> dict[str, Ingested]:
    """Append what each source published since the last time, up to `until`; returns what came, by table.

    The range is written down before its rows are appended, so a killed ingest is finished, not repeated.
    """
    station.state.ensure(_SCHEMA)
    came: dict[str, Ingested] = {}
    for source in station.project.tables:
        for since_us, until_us in _pending(station, source, to_micros(until)):
            rows = source.read(from_micros(since_us), from_micros(until_us))
            if rows.num_rows:
                came[source.name] = ingest(
                    station.tables,
                    source.name,
                    rows,
                    source.checks,
                    clock=station.clock,
                    audit=station.audit,
                    token=f"{since_us}..{until_us}",
                )
            with station.state.transaction() as writer:
                writer.execute(
                    "UPDATE ingests SET rows = ? WHERE name = ? AND since = ?",
                    (rows.num_rows, source.name, since_us),
                )
    return came


def _pending(station: Station, source: TableSource, until_us: int) -> list[tuple[int, int]]:
    """Ranges to read: one that was interrupted, then what is new."""
    with station.state.transaction() as writer:
        rows = writer.execute(
            "SELECT since, until, rows FROM ingests WHERE name = ? ORDER BY since DESC LIMIT 1",
            (source.name,),
        ).fetchall()
        ranges = [(r["since"], r["until"]) for r in rows if r["rows"] is None]
        reached = rows[0]["until"] if rows else to_micros(EPOCH)
        if until_us > reached:
            writer.execute(
                "INSERT INTO ingests (name, since, until) VALUES (?, ?, ?)", (source.name, reached, until_us)
            )
            ranges.append((reached, until_us))
    return ranges


def newest_published(station: Station) -> datetime | None:
    """The end of the newest range that brought rows: the moment that a run stands for."""
    station.state.ensure(_SCHEMA)
    found = station.state.rows("SELECT max(until) AS until FROM ingests WHERE rows > 0")
    until = found[0]["until"]
    return None if until is None else from_micros(until)
