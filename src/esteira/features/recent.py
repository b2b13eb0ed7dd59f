"""What a materialization has to read of the events of a windowed view.

The latest row of a key follows from the events of two lengths: those of the last one are what its window
counts, those of the one before say when the last of them left. Older events have left every window; of
them only the boundary at which the last one of a key left is wanted, and each batch says that by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import from_micros, to_micros
from esteira.data.tables.port import SEQUENCE
from esteira.features.keys import key_texts
from esteira.features.matching import KeyMatcher
from esteira.features.reading import Source, Step, Stretch
from esteira.features.times import micros
from esteira.features.windows.columns import EVENTS
from esteira.features.windows.sliding import EVENT_TIME, window_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from esteira.data.tables.port import TableStore
    from esteira.features.ledger import Run
    from esteira.features.reading import Condition, Part
    from esteira.features.windows.sliding import Window

SHARD = 262_144  # events in memory at once
_FIRST = to_micros(datetime.min.replace(tzinfo=UTC))


def window_parts(window: Window, tables: TableStore, source: str, run: Run) -> list[Part]:
    """For a windowed view: what the last boundary counts, then what has left its windows since the last run.

    In that order, so that no key is said to be empty that is not.
    """
    new, older = Source(tables, source, run.since, run.version), Source(tables, source, -1, run.since)
    boundary, before = _boundaries(window, run)
    if new.version == new.since and boundary == before:
        return []
    oldest = _oldest(window, boundary)
    columns = columns_of(window)

    def gone(batch: pa.Table) -> tuple[pa.Table, None]:
        events = batch.filter(pa.array(micros(batch, window.time, EVENTS) < oldest))
        return _numbered(window_rows(events, window), new), None

    parts: list[Part] = [Recent(window, Source(tables, source, -1, run.version), run)]
    if new.version > new.since:
        parts.append(Stretch(new, columns, (), gone))
    left_since = before - window.length_us - window.hop_us
    if older.version >= 0 and left_since < oldest:
        span = ((window.time, ">=", moment_of(left_since)), (window.time, "<", moment_of(oldest)))
        parts.append(Stretch(older, columns, span, gone))
    return parts


def columns_of(window: Window) -> tuple[str, ...]:
    """The columns of the source that its rows are made of."""
    created = () if window.created is None else (window.created,)
    return (*window.keys, window.time, *created, *window.columns)


@dataclass(frozen=True, slots=True)
class Recent:
    """The events of the last two lengths, in as many shards of keys as memory asks for.

    The events of one key are in memory together.
    """

    window: Window
    source: Source  # all that was ever committed: a window counts old and new events
    run: Run

    @property
    def size(self) -> int:
        return self.source.rows_at(self.source.version)

    def steps(self, position: int) -> Iterator[Step]:
        """See `Part.steps`; a position is the number of shards that are done."""
        boundary, _ = _boundaries(self.window, self.run)
        first, last = moment_of(_oldest(self.window, boundary)), moment_of(boundary)
        span = ((self.window.time, ">=", first), (self.window.time, "<", last))
        shards = self._shards(span)
        for shard in range(position, shards):
            batches = self.source.scan(columns_of(self.window), span)
            events = [batch.filter(_in_shard(batch, self.window.keys, shard, shards)) for batch in batches]
            rows = self._changed(pa.concat_tables(events)) if events else pa.table({})
            yield Step(rows, shard + 1, self.size * (shard + 1) // shards)

    def _shards(self, span: Sequence[Condition]) -> int:
        if self.size <= SHARD:
            return 1
        rows: int = sum(batch.num_rows for batch in self.source.scan((self.window.time,), span))
        return max(1, -(-rows // SHARD))

    def _changed(self, events: pa.Table) -> pa.Table:
        """The last row of each key whose window changed since the last run, or that has a new event."""
        boundary, before = _boundaries(self.window, self.run)
        rows = window_rows(events, self.window)
        rows = rows.filter(pa.array(micros(rows, EVENT_TIME, EVENTS) <= boundary))
        _, last = np.unique(KeyMatcher(rows, self.window.keys).codes[::-1], return_index=True)
        rows = rows.take(pa.array(rows.num_rows - 1 - last))  # rows are in the order of their boundaries
        if self.run.since >= 0:
            is_new = pc.greater_equal(events[SEQUENCE], self.source.rows_at(self.run.since))
            matcher = KeyMatcher(events.filter(is_new), self.window.keys)
            is_touched = np.isin(matcher.codes_of(rows, EVENTS), matcher.codes[matcher.codes >= 0])
            is_moved = micros(rows, EVENT_TIME, EVENTS) > before
            rows = rows.filter(pa.array(is_touched | is_moved))
        return _numbered(rows, self.source)


def _boundaries(window: Window, run: Run) -> tuple[int, int]:
    """The last boundary of a run, and that of the run before."""
    return run.until // window.hop_us * window.hop_us, run.until_before // window.hop_us * window.hop_us


def _oldest(window: Window, boundary: int) -> int:
    """Events before that have left, and changed no window since the one of any later event began."""
    return boundary - 2 * (window.length_us + window.hop_us)


def moment_of(at: int) -> datetime:
    """The UTC time of a microsecond; of one before the first year, that year's begin.

    >>> moment_of(-(2**62)).isoformat()
    '0001-01-01T00:00:00+00:00'
    """
    return from_micros(max(at, _FIRST))


def _numbered(rows: pa.Table, source: Source) -> pa.Table:
    """With the place that lets them replace a row of the same boundary that was made of fewer events."""
    places = np.full(rows.num_rows, source.rows_at(source.version), np.int64)
    return rows.append_column(SEQUENCE, pa.array(places))


def _in_shard(rows: pa.Table, keys: Sequence[str], shard: int, shards: int) -> pa.Array:
    if shards == 1:
        return pa.array(np.ones(rows.num_rows, np.bool_))
    codes = np.zeros(rows.num_rows, np.uint64)
    for column in key_texts(rows, keys, EVENTS):
        codes = codes * np.uint64(31) + _hashes(column)
    return pa.array(codes % np.uint64(shards) == shard)


def _hashes(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """The same number for the same text, in every batch and process; a null is about nobody."""
    coded = column.combine_chunks().dictionary_encode()
    known = [crc32(text.encode("utf-8", "surrogatepass")) for text in coded.dictionary.to_pylist()]
    hashes = np.array([*known, 0], np.uint64)
    found: NDArray[np.uint64] = hashes[pc.fill_null(coded.indices, len(known)).to_numpy()]
    return found
