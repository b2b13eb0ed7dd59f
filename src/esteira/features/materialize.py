"""Bring the online store to where a view's rows stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from esteira.base.clock import to_micros
from esteira.features.moments import SEQUENCE, read_moments

if TYPE_CHECKING:
    from datetime import datetime

    from esteira.features.stores.port import OnlineStore
    from esteira.features.views import BoundView


@dataclass(frozen=True, slots=True)
class Materialized:
    """What a materialization did: the rows of the view that are now the latest of their keys."""

    rows: int
    view: str


def materialize(bound: BoundView, store: OnlineStore, *, until: datetime | None = None) -> Materialized:
    """Store the latest row of each key that had happened and was known by `until`, that moment included.

    Doing it again, in parts, or in another order ends in the same state. Without `until` all rows count, so
    leave it out only when none of them lies in the future. After it, a read at `until` finds what the
    point-in-time join finds.

    Raises: as `OnlineStore.write`; NaiveTime for an `until` without zone.
    >>> from esteira.features.stores import open_store
    >>> from esteira.features.times import UTC_MICROS
    >>> from esteira.features.views import BoundView, FeatureView
    >>> rows = pa.table({"k": ["x", "x"], "event_ts": pa.array([1, 2], UTC_MICROS), "f": [5.0, 6.0]})
    >>> store = open_store("memory:")
    >>> materialize(BoundView(FeatureView("v", ("k",), ("f",), "t"), rows), store)
    Materialized(rows=1, view='v')
    >>> store.read("v", ("x",)).values
    (6.0,)
    """
    moments = read_moments(bound)
    rows = bound.rows
    if SEQUENCE not in rows.column_names:
        rows = rows.append_column(SEQUENCE, pa.array(moments.sequence))
    if until is not None:
        rows = rows.filter(pa.array(moments.available <= to_micros(until, "until")))
    return Materialized(store.write(bound.view, rows), bound.view.qualified)
