"""One run of a scoring job: chunk after chunk read, scored and written, from the first that is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from esteira.base.errors import BadInput, UnknownName
from esteira.data.checks import REASON
from esteira.data.ingestion import QUARANTINED_AT
from esteira.data.tables.port import SEQUENCE
from esteira.data.tables.schema import TIME, refuse_untyped, storable
from esteira.registry.columns import column_in
from esteira.serving.batch import overlapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.base.ports import Clock
    from esteira.project.scoring.journal import Job
    from esteira.project.scoring.sources import RowSource
    from esteira.project.scoring.targets import Ends
    from esteira.project.scoring.views import JoinedViews
    from esteira.serving.batch import BatchScorer

SCORED = pa.schema([("score", pa.float64()), ("version", pa.int32()), ("scored_at", TIME)])
_SET_ASIDE = pa.schema([(REASON, pa.string()), (QUARANTINED_AT, TIME)])


class UnscorableRow(BadInput):
    """A row that the model cannot score."""

    def __init__(self, source: str, row: int, reason: str) -> None:
        mend = "mend the row, leave it out with --where, or set such rows aside with --keep-bad"
        super().__init__(f"row {row} of {source}: {reason}; {mend}")
        self.source, self.row, self.reason = source, row, reason  # rows count from 0


@dataclass(frozen=True, slots=True)
class Scoring:
    """How far a job is."""

    done: int  # rows that were scored or set aside, those of earlier runs included
    reached: int  # the position in the source
    rows: int  # of the source
    chunk_s: float = field(default=0.0, compare=False)  # of the newest chunk: read, scored and written


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is to be written of one chunk."""

    number: int
    good: pa.Table
    bad: pa.Table
    reached: int
    begun: float  # on the clock of `perf_counter`


@dataclass
class ScoreRun:
    """A job with all that it reads and writes opened."""

    job: Job
    source: RowSource
    where: Sequence[tuple[str, str, Any]]
    views: JoinedViews
    scorer: BatchScorer
    ends: Ends
    clock: Clock
    chunks: int = 0  # that are written
    model_seconds: float = 0.0  # in the model, all threads together
    kept: list[str] = field(init=False)  # columns of the source that the target has
    read: list[str] = field(init=False)

    def __post_init__(self) -> None:
        keep, signature = self.job.asked.keep, self.scorer.signature
        self.kept = self.source.schema.names if keep is None else [*keep]
        times = [self.views.at] if self.views.at else []
        self.read = [*dict.fromkeys([*self.kept, *self.scorer.columns, *signature.keys, *times])]

    def check(self) -> None:
        """Refuse before a row is read what no row can mend.

        Raises: UnknownName (a column to keep), WrongInput (one that the model asks for), ClashingNames,
        BadInput (names and types that the target cannot have).
        """
        schema = self.source.schema
        for name in self.kept:
            if name not in schema.names:
                raise UnknownName(f"column of {self.source.ref}", name, schema.names)
        empty = schema.empty_table()
        for name in self.read:
            column_in(empty, name)
        ready, _ = self.views.join(empty.select(self.read))
        self.scorer.check(ready)
        added = {*SCORED.names, *(_SET_ASIDE.names if self.job.asked.keep_bad else ())}
        for name in self.read if self.job.asked.keep_bad else self.kept:
            if name.casefold() in added:
                mend = "leave it out with --keep, or rename it"
                raise BadInput(f"column {name!r} of {self.source.ref} is one that scoring adds; {mend}")
        refuse_untyped(storable(empty.select(self.read)), self.job.target)

    def to_the_end(self, follow: Callable[[Scoring], None]) -> None:
        """Score what is missing. Raises: UnscorableRow, StorageUnwritable, and what runtimes raise."""
        size = self.job.pinned.chunk
        self.chunks = self.ends.first_missing(self.job.token)
        done, skip = self.ends.rows(), self.chunks * size
        follow(Scoring(done, 0 if self.where else skip, self.source.rows))
        coming = _timed(self.source.chunks(self.read, self.where, size, skip), self.chunks)
        for rows, reached, seconds in overlapped(coming, self._scored, self._written):
            self.chunks, done = self.chunks + 1, done + rows
            follow(Scoring(done, reached, self.source.rows, seconds))
        if not self.chunks:
            self.ends.target.write(
                self._good(self.source.schema.empty_table(), np.empty(0)), self.job.token(0)
            )
            self.chunks = 1

    def _scored(self, coming: tuple[int, float, pa.Table]) -> _Chunk:
        number, begun, rows = coming
        ready, timeless = self.views.join(rows)
        found = self.scorer.score(ready)
        self.model_seconds += found.model_seconds
        reasons = {**found.reasons, **timeless}
        reached = rows[SEQUENCE][-1].as_py() + 1
        if not reasons:
            return _Chunk(number, self._good(rows, found.scores), rows.slice(0, 0), reached, begun)
        if not self.job.asked.keep_bad:
            first = min(reasons)
            raise UnscorableRow(self.source.ref, rows[SEQUENCE][first].as_py(), reasons[first])
        is_good = np.ones(rows.num_rows, dtype=bool)
        is_good[[*reasons]] = False
        good = self._good(rows.filter(pa.array(is_good)), found.scores[is_good])
        return _Chunk(number, good, self._bad(rows, reasons), reached, begun)

    def _good(self, rows: pa.Table, scores: NDArray[np.float64]) -> pa.Table:
        count = rows.num_rows
        version = np.full(count, self.job.pinned.version, np.int32)
        columns = [pa.array(scores), pa.array(version), self._now(count)]
        return _with(rows.select(self.kept), SCORED, columns)

    def _bad(self, rows: pa.Table, reasons: Mapping[int, str]) -> pa.Table:
        places = sorted(reasons)
        said = pa.array([reasons[place] for place in places], pa.string())
        bad = rows.take(pa.array(places)).drop_columns([SEQUENCE])
        return _with(bad, _SET_ASIDE, [said, self._now(len(places))])

    def _now(self, count: int) -> pa.Array:
        return pa.array(np.full(count, self.clock.micros())).cast(TIME)

    def _written(self, chunk: _Chunk) -> tuple[int, int, float]:
        """The rows of the chunk that were not there yet, the position that is reached, and its seconds."""
        token, rows = self.job.token(chunk.number), chunk.good.num_rows
        if chunk.bad.num_rows and not self.ends.aside.holds(token):
            self.ends.aside.write(chunk.bad, token)
            rows += chunk.bad.num_rows
        self.ends.target.write(chunk.good, token)  # last: where the scores are, nothing is missing
        return rows, chunk.reached, perf_counter() - chunk.begun


def _timed(chunks: Iterator[pa.Table], first: int) -> Iterator[tuple[int, float, pa.Table]]:
    """Each chunk with its number and the moment at which its reading began."""
    begun = perf_counter()
    for number, rows in enumerate(chunks, first):
        yield number, begun, rows
        del rows  # it was given away, and is not kept while the next is read
        begun = perf_counter()


def _with(rows: pa.Table, schema: pa.Schema, columns: Sequence[pa.Array]) -> pa.Table:
    """The rows with more columns."""
    for field_, values in zip(schema, columns, strict=True):
        rows = rows.append_column(field_, values)
    return rows
