"""Tables kept small in files, so that a project does not grow slow with its age."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.data.tables.port import RETENTION, TARGET_BYTES

if TYPE_CHECKING:
    from datetime import timedelta

    from esteira.base.records import TableVersion
    from esteira.data.tables.port import Vacuumed
    from esteira.project.station import Station

# Each file costs every read about a millisecond: so many are not noticed yet, and it is worth one commit.
MANY = 64


def keep_tidy(station: Station) -> list[TableVersion]:
    """Compact the tables that have many small files, and delete what was superseded a week ago.

    Every version reads as before. Returns the versions made.
    Raises: CorruptArtifact, StorageUnwritable.
    """
    made = []
    for name in station.tables.names():
        if station.tables.describe(name).mergeable < MANY:
            continue
        version = compact(station, name, reason=f"{MANY} small files or more")
        if version is not None:
            made.append(version)
        vacuum(station, name, reason="after a compaction")
    return made


def compact(
    station: Station, name: str, *, reason: str, target_bytes: int = TARGET_BYTES
) -> TableVersion | None:
    """Compact a table, once the audit trail knows. Raises: as `TableStore.compact`."""
    files = station.tables.describe(name).files
    facts = {"files": files, "target_bytes": target_bytes}
    station.audit.record("data.compact", name, reason=reason, facts=facts)
    return station.tables.compact(name, target_bytes=target_bytes)


def vacuum(station: Station, name: str, *, reason: str, older_than: timedelta = RETENTION) -> Vacuumed:
    """Delete what no version of a table needs, once the audit trail knows. Raises: as `TableStore.vacuum`."""
    station.tables.version(name)  # a table that is not there leaves no record
    facts = {"older_than_seconds": older_than.total_seconds()}
    station.audit.record("data.vacuum", name, reason=reason, facts=facts)
    return station.tables.vacuum(name, older_than=older_than)
