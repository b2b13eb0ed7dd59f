"""Rows that were pushed to the gateway: out of its log, checked, into their tables, and online at once."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput, EsteiraError
from esteira.data.ingestion import Ingested, Ports, declare, ingest
from esteira.data.tables.schema import conform, evolved
from esteira.features.push import refuse_unusable, store_at_once
from esteira.monitoring.push_log import decode_pushes, drain_pushes, pushes_seen
from esteira.serving.pushes import PushTable, PushTables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esteira.data.checks import Reason
    from esteira.features.stores.port import OnlineStore
    from esteira.features.views import FeatureView
    from esteira.monitoring.push_log import Push
    from esteira.project.definition import TableSource
    from esteira.project.station import Station

RETRY_S = 10.0  # until pushes that could not be taken are tried again
REMEMBERED = timedelta(days=7)  # how long a push that is sent again is known by its token
_SCHEMA = """
CREATE TABLE IF NOT EXISTS push_tokens (
    name TEXT NOT NULL, token TEXT NOT NULL,
    batch TEXT NOT NULL,  -- in which it came first
    at BIGINT NOT NULL,
    PRIMARY KEY (name, token)
);
CREATE INDEX IF NOT EXISTS push_tokens_at ON push_tokens (at);
"""


def publish_pushes(station: Station) -> None:
    """Tell the gateways which tables take pushes, and what their rows must be.

    A table that is there gets the columns that are new.
    Raises: SchemaChanged, what a view of such a table finds wrong with its schema, StorageUnwritable.
    """
    PushTables(station.settings.store("state")).publish(
        _push_table(station, source) for source in station.project.tables if source.read is None
    )


def _push_table(station: Station, source: TableSource) -> PushTable:
    schema = _schema_of(source)
    views = _views_of(station, source)
    _refuse_wrong_schema(station, source.name, schema, views)
    times = {view.window.time if view.window else view.event_time for view in views}
    published = source.published if source.published in schema.names else ""
    return PushTable(source.name, schema, tuple(sorted(times - {published})), published)


def take_pushes(station: Station, source: TableSource) -> list[Ingested]:
    """Bring all that was pushed to a table into it, and online; what came of it, in portions.

    Rows that the table's checks refuse, or that a view cannot use, go to its quarantine. Killed at any
    point, the next call completes what is missing and doubles nothing. The table is there from the first
    call on, if only empty.
    Raises: what the stores raise, SchemaChanged, ViewChanged; what waits is taken the next time.
    """
    schema, ports = _schema_of(source), _ports(station)
    if source.name not in station.tables.names():
        ingest(station.tables, source.name, schema.empty_table(), (), **ports)
    url = station.settings.store("predictions")
    taken: list[Ingested] = []
    if pushes_seen(url, source.name):
        station.state.ensure(_SCHEMA)
        move = partial(_take, station, source, taken)
        drain_pushes(url, source.name, move, station.state)
    return taken


def _take(
    station: Station, source: TableSource, taken: list[Ingested], records: Sequence[bytes], token: str
) -> None:
    pushes = _first_sent(station, source.name, decode_pushes(records), token)
    if not pushes:
        return
    schema, views = _schema_of(source), _views_of(station, source)
    _refuse_wrong_schema(station, source.name, schema, views)  # what no row could mend is no row's fault
    rows = pa.concat_tables([_in_schema(push.rows, schema, source.name) for push in pushes])
    checks = [*source.checks, *(Usable(view, station.online) for view in views)]
    ports = _ports(station)
    ingested = ingest(station.tables, source.name, rows, checks, token=token, **ports)
    if ingested.accepted:
        store_at_once(station.tables, station.online, views, ingested.version, clock=station.clock)
    taken.append(ingested)


def _refuse_wrong_schema(
    station: Station, table: str, schema: pa.Schema, views: Sequence[FeatureView]
) -> None:
    declare(station.tables, table, schema, schema.empty_table(), audit=station.audit)
    for view in views:
        refuse_unusable(view, schema.empty_table(), station.online)


def _in_schema(rows: pa.Table, schema: pa.Schema, table: str) -> pa.Table:
    for name in schema.names:
        if name not in rows.column_names:  # declared since they were sent
            rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return conform(rows, schema, table)


def _first_sent(station: Station, name: str, pushes: Sequence[Push], batch: str) -> list[Push]:
    """The pushes whose tokens came here first; the same again for a batch that comes again."""
    now = station.clock.now()
    first: dict[str, Push] = {}
    with station.state.transaction() as writer:
        writer.execute("DELETE FROM push_tokens WHERE at < ?", (to_micros(now - REMEMBERED),))
        for push in pushes:
            known = (name, push.token, batch, to_micros(now))
            writer.execute("INSERT INTO push_tokens VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", known)
            sql = "SELECT batch FROM push_tokens WHERE name = ? AND token = ?"
            (came_in,) = writer.execute(sql, (name, push.token)).fetchall()
            if came_in["batch"] == batch:
                first.setdefault(push.token, push)
    return [*first.values()]


@dataclass(frozen=True, slots=True)
class Usable:
    """A check of rows: a view can use each, as its times, keys and numbers must be."""

    view: FeatureView
    store: OnlineStore

    def reasons(self, rows: pa.Table) -> Iterator[Reason]:
        found: dict[str, list[int]] = defaultdict(list)
        for row, fault in self._refused(rows, 0):
            found[fault].append(row)
        for fault, places in found.items():
            reason = f"view {self.view.qualified!r} cannot use it ({fault})"
            yield reason, np.isin(np.arange(rows.num_rows), places)

    def _refused(self, rows: pa.Table, start: int) -> Iterator[tuple[int, str]]:
        """Positions of the rows that are refused, and by which error: found by halves, as there are few."""
        try:
            refuse_unusable(self.view, rows, self.store)
        except BadInput as refused:
            if rows.num_rows == 1:
                yield start, type(refused).__name__
                return
            half = rows.num_rows // 2
            yield from self._refused(rows.slice(0, half), start)
            yield from self._refused(rows.slice(half), start + half)


class PushWatch:
    """Takes pushes soon after they come; a look costs little while none do."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._sources = [source for source in station.project.tables if source.read is None]
        self._seen: dict[str, dict[str, int]] = {}
        self._refused: dict[str, float] = {}

    def look(self) -> None:
        """Take what has come since the last look.

        Raises: as `take_pushes`, of the first table that refuses, once the others are done; it is left
        alone for `RETRY_S` then.
        """
        failed: EsteiraError | None = None
        for source in self._sources:
            seen = pushes_seen(self._station.settings.store("predictions"), source.name)
            waits = time.monotonic() < self._refused.get(source.name, 0.0)
            if waits or seen == self._seen.get(source.name, {}):
                continue
            try:
                take_pushes(self._station, source)
                self._seen[source.name] = seen
            except EsteiraError as refused:
                self._refused[source.name] = time.monotonic() + RETRY_S
                failed = failed or refused
        if failed is not None:
            raise failed


def _ports(station: Station) -> Ports:
    return {"clock": station.clock, "audit": station.audit}


def _schema_of(source: TableSource) -> pa.Schema:
    assert source.schema is not None  # a table without `read` has one
    return evolved(pa.schema([]), source.schema, source.name)


def _views_of(station: Station, source: TableSource) -> list[FeatureView]:
    return [view for view in station.project.views if view.source == source.name]
