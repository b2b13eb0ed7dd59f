"""Rows out of data files, with the position of each in its whole table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from esteira.data.tables.parquet import FORMAT, STREAMED, VERIFIED
from esteira.data.tables.port import SEQUENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyarrow import fs

    from esteira.base.records import TableVersion
    from esteira.data.tables.where import Question

_AT_ONCE = 64  # files of one scan, so that a table of many keeps neither them nor their footers in memory
# Numbers of one scan, 64 MiB: Arrow reads ahead of whoever is slow up to a gigabyte, but not past its scan.
_CELLS = 1 << 23
_MATCHES = SEQUENCE  # no column of a user has this name, and the positions take it only later


class Piece(NamedTuple):
    """Some rows in one place: a file, or a row group of it."""

    fragment: ds.Fragment
    start: int  # the position of its first row
    rows: int


@dataclass(frozen=True, slots=True)
class Extent:
    """The rows of a table at positions [first, last), and the files that hold them by now."""

    version: TableVersion
    schema: pa.Schema
    files: Sequence[Piece]
    first: int
    last: int
    place: fs.FileSystem
    merges: int  # those that the table had seen when this was asked

    def dataset(self, pieces: Iterable[Piece]) -> ds.FileSystemDataset:
        fragments = [piece.fragment for piece in pieces]
        return ds.FileSystemDataset(fragments, self.schema, FORMAT, self.place)

    def has_all_of(self, piece: Piece) -> bool:
        return self.first <= piece.start and piece.start + piece.rows <= self.last

    def overlaps(self, piece: Piece) -> bool:
        return piece.start < self.last and self.first < piece.start + piece.rows


class Batch(NamedTuple):
    """Rows that were found among those up to the position `reached`."""

    rows: pa.RecordBatch
    reached: int


def read(extent: Extent, asked: Question) -> pa.Table:
    """All rows at once; whole files are read side by side. Raises: OSError, ArrowException."""
    whole = [piece for piece in extent.files if extent.has_all_of(piece)]
    columns = [*asked.columns]
    found = extent.dataset(whole).to_table(
        columns=columns, filter=asked.where, fragment_scan_options=VERIFIED
    )
    if len(whole) == len(extent.files):
        return found
    cut = replace(extent, files=extent.files[len(whole) :])  # inside a file that has grown by merging since
    rest = [batch.rows.select(columns) for batch in scan(cut, asked)]
    return pa.concat_tables([found, pa.Table.from_batches(rest, found.schema)])


def scan(extent: Extent, asked: Question, size: int = 131_072) -> Iterator[Batch]:
    """The rows with their positions, in their order, a batch at a time. Raises: OSError, ArrowException."""
    shown = {name: ds.field(name) for name in asked.columns}
    if asked.where is not None:
        shown[_MATCHES] = asked.where
    most = _CELLS // max(len(asked.columns), 1)
    files = _matching(extent, asked.where)
    for pieces in _together((piece for file in files for piece in _pieces(extent, file, asked, most)), most):
        batches = extent.dataset(pieces).to_batches(
            columns=shown,
            batch_size=size,
            batch_readahead=2,
            fragment_readahead=1,
            fragment_scan_options=STREAMED,
        )
        for start, batch in _placed(pieces, batches):
            yield _cut(extent, start, batch)


def portions(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of `size` rows; the last may have fewer, and none is empty."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        while rows >= size:
            together = pa.concat_tables(waiting)
            yield together.slice(0, size)
            waiting = [together.slice(size)]
            rows -= size
    if rows:
        yield pa.concat_tables(waiting)


def _matching(extent: Extent, where: ds.Expression | None) -> list[Piece]:
    """The files that may hold such rows, as the times say that are known of each."""
    if where is None:
        return [*extent.files]
    found = {fragment.path for fragment in extent.dataset(extent.files).get_fragments(filter=where)}
    return [piece for piece in extent.files if piece.fragment.path in found]


def _together(pieces: Iterable[Piece], most: int) -> Iterator[list[Piece]]:
    """The pieces of one scan each: at most so many rows, if a single one has no more."""
    some: list[Piece] = []
    for piece in pieces:
        if some and (len(some) == _AT_ONCE or sum(each.rows for each in some) + piece.rows > most):
            yield some
            some = []
        some.append(piece)
    if some:
        yield some


def _pieces(extent: Extent, file: Piece, asked: Question, most: int) -> Iterator[Piece]:
    """A file, or its row groups where some may be left out, or all are too many for one scan."""
    where = asked.where
    if where is None and extent.has_all_of(file) and file.rows <= most:
        yield file
        return
    metadata = file.fragment.metadata
    sizes = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
    starts = file.start + np.cumsum([0, *sizes])
    for group in file.fragment.split_by_row_group(where, schema=extent.schema):
        (about,) = group.row_groups
        piece = Piece(group, int(starts[about.id]), sizes[about.id])
        if extent.overlaps(piece):
            yield piece


def _placed(
    pieces: Iterable[Piece], batches: Iterable[pa.RecordBatch]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Each batch with the position of its first row; no batch holds rows of two pieces."""
    ahead, start, left = iter(pieces), 0, 0
    for batch in batches:
        while not left and batch.num_rows:
            _, start, left = next(ahead)
        yield start, batch
        start, left = start + batch.num_rows, left - batch.num_rows


def _cut(extent: Extent, start: int, batch: pa.RecordBatch) -> Batch:
    """The wanted rows of a batch whose first stands at a position, with the positions of all."""
    first = min(max(extent.first - start, 0), batch.num_rows)
    last = max(min(extent.last - start, batch.num_rows), first)
    positions = pa.array(np.arange(start + first, start + last))
    kept = batch.slice(first, last - first)
    matches = kept.column(_MATCHES) if _MATCHES in kept.schema.names else None
    if matches is not None:
        kept = kept.drop_columns([_MATCHES])
    kept = kept.append_column(SEQUENCE, positions)
    return Batch(kept if matches is None else kept.filter(matches), start + last)
