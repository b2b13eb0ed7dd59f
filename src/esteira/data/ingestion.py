"""Rows into a table: checked, counted, the bad ones kept in a quarantine table, never dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

import pyarrow as pa

from esteira.data.checks import Fresh, validate
from esteira.data.tables.schema import TIME, conform, evolved, storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.base.ports import AuditTrail, Clock
    from esteira.base.records import TableVersion
    from esteira.data.checks import Check
    from esteira.data.tables.port import TableStore

QUARANTINED_AT = "_quarantined_at"


class Ports(TypedDict):
    """What ingestion needs from above."""

    clock: Clock
    audit: AuditTrail


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch: accepted and quarantined add up to its rows."""

    version: TableVersion
    accepted: int
    quarantined: int
    reasons: Mapping[str, int]  # reason → rows; a row may have several


def quarantine_of(name: str) -> str:
    """The table that keeps the bad rows of a table.

    >>> quarantine_of("flights")
    'flights_quarantine'
    """
    return f"{name}_quarantine"


def declare(
    tables: TableStore, name: str, schema: pa.Schema, rows: pa.Table, *, audit: AuditTrail
) -> pa.Table:
    """The rows in a declared schema, once the table, and that of its bad rows, have its new columns.

    The audit trail hears of each change before (`data.evolve`, with the columns).
    Raises: SchemaChanged (what contradicts the table, or the rows what is declared), BadInput,
    StorageUnwritable.
    """
    kept = evolved(pa.schema([]), schema, name)
    rows = conform(storable(rows), kept, name)
    there = tables.names()
    for each in (name, quarantine_of(name)):
        if each not in there:
            continue
        before = tables.describe(each).schema
        own = [field for field in before if field.name not in kept.names] if each != name else []
        wanted = evolved(before, pa.schema([*kept, *own]), each)
        if added := wanted.names[len(before) :]:
            audit.record("data.evolve", each, facts={"columns": added})
            tables.evolve(each, wanted)
    return rows


def ingest(
    tables: TableStore,
    name: str,
    rows: pa.Table,
    checks: Sequence[Check],
    *,
    token: str = "",
    **ports: Unpack[Ports],
) -> Ingested:
    """Append the good rows to a table and the bad ones, with `_reason` and `_quarantined_at`, beside it.

    The audit trail hears of it before (`data.append`) and after (`data.appended`, with the version). A batch
    with a token is ingested once: after a kill the same call completes what is missing. A batch that was
    begun is not refused for having grown old meanwhile.
    Raises: BatchRefused, SchemaChanged, StorageUnwritable.
    """
    begun = tables.holding(name, token) if token else None
    asked = [check for check in checks if begun is None or not isinstance(check, Fresh)]
    checked = validate(rows, asked, ports["clock"].now())
    accepted, quarantined = checked.good.num_rows, checked.bad.num_rows
    facts = {"accepted": accepted, "quarantined": quarantined, "reasons": checked.reasons, "token": token}
    ports["audit"].record("data.append", name, facts=facts)
    version = tables.append(name, checked.good, token=token)
    if quarantined:
        now = pa.array([ports["clock"].micros()] * quarantined, pa.int64()).cast(TIME)
        tables.append(quarantine_of(name), checked.bad.append_column(QUARANTINED_AT, now), token=token)
    ports["audit"].record("data.appended", version.ref, facts=facts)
    return Ingested(version, accepted, quarantined, checked.reasons)
