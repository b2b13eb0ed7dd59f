"""Bring the online store of a project to where its tables stand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from esteira.base.errors import UnknownName
from esteira.features.materialize import Materialized, materialize_view

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from esteira.project.station import Station


def materialize_all(
    station: Station,
    *,
    names: Sequence[str] = (),
    until: datetime | None = None,
    backfill: bool = False,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Materialized, ...]:
    """Materialize the views of those names, or all, up to `until`, or now.

    A name is a view's own, for all its versions, or that of one version. A view whose table is not there yet
    has nothing to bring. `on_progress` hears of the view, the rows done and the rows in all.
    Raises: UnknownName, and what `materialize_view` raises.
    """
    views = station.project.views
    known = {name for view in views for name in (view.name, view.qualified)}
    for name in names:
        if name not in known:
            raise UnknownName("view", name, known)
    wanted = [view for view in views if not names or {view.name, view.qualified} & {*names}]
    end, there = until or station.clock.now(), {*station.tables.names()}
    done = []
    for view in wanted:
        if view.source not in there:
            done.append(Materialized(view.qualified, 0, None, end))
            continue
        stores = (station.tables, station.online, station.ledger)
        told = None if on_progress is None else partial(on_progress, view.qualified)
        done.append(materialize_view(view, *stores, until=end, backfill=backfill, on_progress=told))
    return tuple(done)
