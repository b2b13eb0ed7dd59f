"""Which tables of a project may take results: those that it does not fill itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import BadInput
from esteira.data.ingestion import quarantine_of
from esteira.project.definition import LOGS

if TYPE_CHECKING:
    from esteira.project.station import Station


def refuse_filled(station: Station, name: str) -> None:
    """Refuse a table that logs or sources fill, and what cannot name a table. Raises: BadInput."""
    taken = {*LOGS, *(table.name for table in station.project.tables)}
    if name in taken or name.endswith(quarantine_of("")):
        raise BadInput(f"table {name!r} is filled by the project itself; name another, e.g. scores")
    station.tables.holding(name, "")  # refuses what cannot name a table
