"""What a materialization has to read of a source table, in steps that it can go on from."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import from_micros
from esteira.data.tables.port import SEQUENCE
from esteira.features.moments import read_moments
from esteira.features.views import BoundView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from esteira.data.tables.port import TableStore
    from esteira.features.ledger import Run
    from esteira.features.views import FeatureView

BATCH = 65_536  # rows in memory at once; each may cost a store that keeps pages a page of 4 KB

Condition = tuple[str, str, Any]


class Step(NamedTuple):
    """Rows of a view to store, and where the part stands once they are stored."""

    rows: pa.Table
    position: int  # from which the part goes on
    done: int  # of the part's size
    due: int | None = None  # when the first of the rows left for later becomes known


def portions(rows: pa.Table) -> Iterator[pa.Table]:
    """Rows to store, as many at a time as a batch has; none of no rows."""
    return (rows.slice(at, BATCH) for at in range(0, rows.num_rows, BATCH))


class Part(Protocol):
    """A part of the reading; `size` is in rows of the source."""

    @property
    def size(self) -> int: ...

    def steps(self, position: int) -> Iterator[Step]:
        """What is left from a position on; 0 is the beginning. Raises: as `TableStore.scan`."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """A table between two versions: after `since` (-1 for all) up to `version`."""

    tables: TableStore
    name: str
    since: int
    version: int

    def rows_at(self, version: int) -> int:
        return self.tables.version(self.name, version).rows if version >= 0 else 0

    def scan(
        self, columns: Sequence[str], where: Sequence[Condition], position: int = 0
    ) -> Iterator[pa.Table]:
        """The rows from a position in the table on, in batches with their positions."""
        since, names = self._last_before(position), [*dict.fromkeys(columns)]
        for batch in self.tables.scan(
            self.name,
            since=None if since < 0 else since,
            version=self.version,
            columns=names,
            where=where,
            size=BATCH,
        ):
            rest = batch.filter(pc.greater_equal(batch[SEQUENCE], position))
            if rest.num_rows:
                yield rest

    def _last_before(self, position: int) -> int:
        """The newest version all of whose rows lie before a position: none of them is read again."""
        if position <= self.rows_at(self.since):
            return self.since
        history = self.tables.history(self.name)[: self.version + 1]
        return bisect_right([each.rows for each in history], position) - 1


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a source in table order, each batch made into rows of the view by itself."""

    source: Source
    columns: Sequence[str]
    where: Sequence[Condition]
    rows_of: Callable[[pa.Table], tuple[pa.Table, int | None]]  # and when those left out become known

    @property
    def size(self) -> int:
        return self.source.rows_at(self.source.version) - self.source.rows_at(self.source.since)

    def steps(self, position: int) -> Iterator[Step]:
        start = self.source.rows_at(self.source.since)
        for batch in self.source.scan(self.columns, self.where, position):
            rows, due = self.rows_of(batch)
            reached = batch[SEQUENCE][-1].as_py() + 1
            yield Step(rows, reached, reached - start, due)


def plain_parts(view: FeatureView, tables: TableStore, run: Run, due: int | None) -> list[Part]:
    """For a view without window: the new commits, and the older rows that were not known before.

    `due` says when the first of those becomes known; before that none is looked for.
    """

    def known(batch: pa.Table) -> tuple[pa.Table, int | None]:
        moments = read_moments(BoundView(view, batch))
        is_later = (moments.available > run.until) & moments.known
        left = moments.available[is_later]
        return batch.filter(pa.array(moments.available <= run.until)), int(left.min()) if len(left) else None

    created = () if view.created_time is None else (view.created_time,)
    columns = (*view.keys, *view.features, view.event_time, *created)
    parts: list[Part] = []
    if run.version > run.since:
        parts.append(Stretch(Source(tables, view.source, run.since, run.version), columns, (), known))
    if run.since >= 0 and due is not None and due <= run.until:
        older = Source(tables, view.source, -1, run.since)
        before = from_micros(run.until_before)
        parts.append(Stretch(older, columns, [(view.event_time, ">", before)], known))
        for name in created:
            late: list[Condition] = [(view.event_time, "<=", before), (name, ">", before)]
            parts.append(Stretch(older, columns, late, known))
    return parts
