"""Bring the online store to where a view's source stands: what was committed since the last time, no more.

Rows are found by the commit that brought them, never by their event time, so late ones are not lost. Each
batch is stored first, which replaces nothing newer and may be done twice; only then the ledger says so. A
run that was killed at any point goes on where the ledger stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from esteira.base.clock import from_micros
from esteira.base.errors import BadInput
from esteira.features.ledger import BEFORE_ALL, Entry, Run
from esteira.features.reading import plain_parts, portions
from esteira.features.recent import window_parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from esteira.base.records import TableVersion
    from esteira.data.tables.port import TableStore
    from esteira.features.ledger import FeatureLedger
    from esteira.features.reading import Part
    from esteira.features.stores.port import OnlineStore
    from esteira.features.views import FeatureView

    Progress = Callable[[int, int], None]  # rows done, rows in all


class SourceReplaced(BadInput):
    """A source that has fewer versions than a view was materialized from: it is another table."""

    def __init__(self, view: str, source: str, version: int) -> None:
        mend = "restore the table, or raise the view's version"
        super().__init__(f"view {view!r} was materialized from {source}@{version}, which is gone; {mend}")
        self.view, self.source, self.version = view, source, version


@dataclass(frozen=True, slots=True)
class Materialized:
    """Where a view stands online now, and what a call has done for it."""

    view: str
    rows: int  # that became the latest of their keys by this call
    source: TableVersion | None  # all of it that was known by `until` is in the store; None: not there yet
    until: datetime
    is_behind: bool = False  # the end asked for had been passed before, so nothing was done


def materialize_view(  # noqa: PLR0913 - four stores of one act, and how it is done
    view: FeatureView,
    tables: TableStore,
    store: OnlineStore,
    ledger: FeatureLedger,
    *,
    until: datetime,
    backfill: bool = False,
    on_progress: Progress | None = None,
) -> Materialized:
    """Store the latest row of each key that had happened and was known by `until`, that moment included.

    After it, a read at `until` finds what the point-in-time join finds over the whole source. Only what was
    committed since the last time is read, and what became known by itself; with `backfill`, or when the
    store has lost the view, everything from the beginning, at least up to where the view stood. An `until`
    before that changes nothing, and the answer says so. Memory is bounded by a batch of rows, for a windowed
    view by a shard of keys. `on_progress` hears of the rows done and of the rows in all.

    Raises: FutureEnd, NaiveTime, DefinitionChanged, SourceReplaced, NotFound (no such table), and what the
    stores raise; what was stored by then is in the ledger.
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> import pyarrow as pa
    >>> from esteira.data.tables import open_tables
    >>> from esteira.features.ledger import FeatureLedger
    >>> from esteira.features.stores import open_store
    >>> from esteira.features.views import FeatureView
    >>> day = datetime(2013, 1, 1, tzinfo=UTC)
    >>> tables, store = open_tables("delta:" + tempfile.mkdtemp()), open_store("memory:")
    >>> _ = tables.append("weather", pa.table({"origin": ["JFK"], "event_ts": [day], "visib": [10.0]}))
    >>> view = FeatureView("weather", ("origin",), ("visib",), "weather")
    >>> materialize_view(view, tables, store, FeatureLedger("sqlite::memory:"), until=day).rows
    1
    >>> store.read("weather", ("JFK",)).values
    (10.0,)
    """
    end, entry = ledger.end_of(until), ledger.entry(view)
    source = tables.version(view.source)
    if source.version < entry.version:
        raise SourceReplaced(view.qualified, view.source, entry.version)
    act = _Act(view, tables, store, ledger, on_progress)
    if _is_lost(entry, store):
        entry = Entry(entry.view, entry.source, entry.definition, until=entry.until)
        ledger.keep(entry)  # now, for after the first write the loss is not to be seen any more
    rows = 0
    if entry.run is not None and (entry.run.since < 0 or not backfill):
        entry, rows = act.carry_out(entry, entry.run)
        backfill = False  # if one was asked for, this was it
    is_behind = entry.status == "done" and end < entry.until and not backfill
    if not is_behind:
        entry, more = act.bring(entry, source.version, max(end, entry.until), backfill=backfill)
        rows += more
    reached = tables.version(view.source, entry.version)
    return Materialized(view.qualified, rows, reached, from_micros(entry.until), is_behind)


def _is_lost(entry: Entry, store: OnlineStore) -> bool:
    """Whether the store is not the one that the ledger speaks of: it has never heard of the view."""
    return entry.status != "new" and store.layout(entry.view) is None


@dataclass(frozen=True, slots=True)
class _Act:
    """The materialization of one view."""

    view: FeatureView
    tables: TableStore
    store: OnlineStore
    ledger: FeatureLedger
    on_progress: Progress | None

    def bring(self, entry: Entry, version: int, until: int, *, backfill: bool) -> tuple[Entry, int]:
        """The entry at a version and a moment, and the rows that were stored for it."""
        since, before = (-1, BEFORE_ALL) if backfill else (entry.version, entry.until)
        if (since, before) == (version, until):
            return entry, 0
        looks_back = since < 0 or (entry.due is not None and entry.due <= until)
        due = None if looks_back else entry.due
        return self.carry_out(entry, Run(since, version, before, until, self.ledger.clock.micros(), due=due))

    def carry_out(self, entry: Entry, run: Run) -> tuple[Entry, int]:
        """Do what is left of a run."""
        began_with, parts = run.rows, self._parts(entry, run)
        done, total = sum(part.size for part in parts[: run.part]), sum(part.size for part in parts)
        for number, part in enumerate(parts[run.part :], run.part):
            for step in part.steps(run.position if number == run.part else 0):
                kept = sum(self.store.write(self.view, portion) for portion in portions(step.rows))
                run = msgspec.structs.replace(
                    run,
                    part=number,
                    position=step.position,
                    rows=run.rows + kept,
                    due=_sooner(run.due, step.due),
                )
                if step.rows.num_rows:  # also what was there already, by a push or a run that was killed
                    self.store.sync()  # the ledger never runs ahead of the store, not even in a power cut
                self.ledger.keep(replace(entry, run=run))
                if self.on_progress is not None:
                    self.on_progress(done + step.done, total)
            done += part.size
        rows = entry.rows + run.rows
        entry = replace(entry, version=run.version, until=run.until, due=run.due, rows=rows, run=None)
        if parts:
            self.ledger.finish(entry, run)
        else:
            self.ledger.keep(entry)
        return entry, run.rows - began_with

    def _parts(self, entry: Entry, run: Run) -> list[Part]:
        if self.view.window is None:
            return plain_parts(self.view, self.tables, run, entry.due)
        return window_parts(self.view.window, self.tables, self.view.source, run)


def _sooner(one: int | None, other: int | None) -> int | None:
    known = [due for due in (one, other) if due is not None]
    return min(known, default=None)
