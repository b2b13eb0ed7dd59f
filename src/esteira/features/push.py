"""Rows that are sent to us: into their table for good, and online at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from esteira.base.errors import BadInput, UnknownName
from esteira.data.tables.schema import storable
from esteira.features.latest import kinds_of, latest_rows
from esteira.features.moments import read_moments
from esteira.features.stores.port import Layout
from esteira.features.views import BoundView
from esteira.features.windows.sliding import SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esteira.base.ports import Clock
    from esteira.base.records import TableVersion
    from esteira.data.tables.port import TableStore
    from esteira.features.stores.port import OnlineStore
    from esteira.features.views import FeatureView


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where pushed rows are: in a version of their table, and some of them online."""

    version: TableVersion
    rows: int  # that became the latest of their keys, over all views


def push(  # noqa: PLR0913 - where to, what, and its name
    tables: TableStore,
    store: OnlineStore,
    views: Iterable[FeatureView],
    source: str,
    rows: pa.Table,
    *,
    token: str,
    clock: Clock,
) -> Pushed:
    """Append rows to a source of views, once for a token however often they come, and store them online.

    Online go the rows of views without window that have happened and are known by now; windows, rows of the
    future, and what a crash in between has left out come with the next materialization. Rows that a view
    could not use are refused before anything is written.

    Raises: UnknownName (a source of no view, a column), BadInput (no token, a type that cannot be kept),
    NaiveTime, NotATime, NullTime, WrongKey, WrongFeature, WrongWindow, ViewChanged, SchemaChanged, and what
    the stores raise.
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> from esteira.base.clock import SystemClock
    >>> from esteira.data.tables import open_tables
    >>> from esteira.features.stores import open_store
    >>> from esteira.features.views import FeatureView
    >>> tables, store = open_tables("delta:" + tempfile.mkdtemp()), open_store("memory:")
    >>> views = [FeatureView("weather", ("origin",), ("visib",), "weather")]
    >>> rows = pa.table({"origin": ["JFK"], "visib": [9.5], "event_ts": [datetime(2013, 1, 1, tzinfo=UTC)]})
    >>> push(tables, store, views, "weather", rows, token="a7", clock=SystemClock()).version.ref
    'weather@0'
    >>> store.read("weather", ("JFK",)).values
    (9.5,)
    """
    if not token:
        raise BadInput("a push needs a token that names its rows; give the same one when you send them again")
    every = tuple(views)
    mine = [view for view in every if view.source == source]
    if not mine:
        raise UnknownName("source of views", source, {view.source for view in every})
    rows = storable(rows)
    for view in mine:
        refuse_unusable(view, rows, store)
    version = tables.append(source, rows, token=token)
    return Pushed(version, store_at_once(tables, store, mine, version, clock=clock))


def store_at_once(
    tables: TableStore,
    store: OnlineStore,
    views: Iterable[FeatureView],
    version: TableVersion,
    *,
    clock: Clock,
) -> int:
    """Store online what one version brought to the source of views, as `push` does; the rows that won.

    What the version holds is stored, with its places in the table, whatever was sent this time.
    Raises: as the stores do.
    """
    now, kept, plain = clock.micros(), 0, [view for view in views if view.window is None]
    before = version.version - 1 if version.version else None
    for batch in tables.scan(version.table, since=before, version=version.version):
        kept += store.write_many([(view, _known(view, batch, now)) for view in plain])
    return kept


def refuse_unusable(view: FeatureView, rows: pa.Table, store: OnlineStore) -> None:
    """Nothing, if the view and the store can use every row of its source. Raises: as `push`."""
    if view.window is not None:
        SlidingWindow(view.window).add(rows)
        return
    bound = BoundView(view, rows)
    latest_rows(bound)  # the times and keys
    found = Layout(view.keys, view.features, kinds_of(bound), view.ttl_us)
    stored = store.layout(view.qualified)
    if stored is not None:
        stored.takes_over(found, view.qualified)


def _known(view: FeatureView, rows: pa.Table, now: int) -> pa.Table:
    return rows.filter(pa.array(read_moments(BoundView(view, rows)).available <= now))
