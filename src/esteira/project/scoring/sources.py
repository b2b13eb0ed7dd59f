"""Where the rows come from that are scored: one version of a table, or Parquet files as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from esteira.base.digest import digest_json
from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.data.tables.port import SEQUENCE
from esteira.data.tables.scanning import portions
from esteira.data.tables.where import condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esteira.data.tables.port import TableStore

    Where = Sequence[tuple[str, str, Any]]

SUFFIX = ".parquet"
_AHEAD = 131_072  # rows of a batch that is read


class RowSource(Protocol):
    """Rows in an order that never changes."""

    @property
    def ref(self) -> str:
        """The name by which the very same rows are found again."""
        ...

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def rows(self) -> int:
        """All of them, whatever is asked for."""
        ...

    def chunks(self, columns: Sequence[str], where: Where, size: int, skip: int) -> Iterator[pa.Table]:
        """The rows for which all of `where` holds, without the first `skip`, `size` at a time.

        Each chunk has the column `_seq` last: the position of a row among all.
        Raises: UnknownName, BadInput, CorruptArtifact.
        """
        ...


def is_path(text: str) -> bool:
    """Whether the name of a source or a target is a place on the disk, and not a table.

    >>> is_path("flights@3"), is_path("flights.parquet"), is_path("./flights")
    (False, True, True)
    """
    return "/" in text or text.endswith(SUFFIX)


def open_source(tables: TableStore, name: str, pinned: str = "") -> RowSource:
    """`flights`, `flights@3`, or a Parquet file or folder; the one that is `pinned`, if a job has begun.

    Raises: NotFound, BadInput (no version's number, files that cannot be read, rows that changed since).
    """
    if is_path(name):
        return _files(Path(name), pinned)
    table, at, number = (pinned or name).partition("@")
    if at and not number.isdecimal():
        raise BadInput(f"{number!r} is no version of table {table!r}; write e.g. {table}@3")
    version = tables.version(table, int(number) if number else None)
    return TableRows(tables, table, version.version, version.rows)


@dataclass(frozen=True)
class TableRows:
    """One version of a table."""

    tables: TableStore
    table: str
    version: int
    rows: int

    @property
    def ref(self) -> str:
        return f"{self.table}@{self.version}"

    @property
    def schema(self) -> pa.Schema:
        described = self.tables.describe(self.table)
        if described.version.version == self.version:
            return described.schema
        if not self.rows:
            return self.tables.read(self.table, version=self.version).schema
        first = next(self.tables.scan(self.table, version=self.version, size=1_024))
        return first.drop_columns([SEQUENCE]).schema

    def chunks(self, columns: Sequence[str], where: Where, size: int, skip: int) -> Iterator[pa.Table]:
        since, passed = self._before(0 if where else skip)
        found = self.tables.scan(
            self.table, since=since, version=self.version, columns=columns, where=where, size=_AHEAD
        )
        return portions(_without_first(found, skip - passed), size)

    def _before(self, skip: int) -> tuple[int | None, int]:
        """The newest version that has no more than the first `skip` rows, and how many it has."""
        if not (skip and self.tables.describe(self.table).is_ours):  # another tool may have moved rows
            return None, 0
        known = self.tables.history(self.table)[: self.version + 1]
        return max(((each.version, each.rows) for each in known if each.rows <= skip), default=(None, 0))


@dataclass(frozen=True)
class FileRows:
    """The rows of Parquet files in the order of their names."""

    path: Path
    files: ds.Dataset
    ref: str
    rows: int

    @property
    def schema(self) -> pa.Schema:
        return self.files.schema

    def chunks(self, columns: Sequence[str], where: Where, size: int, skip: int) -> Iterator[pa.Table]:
        for name in columns:
            if name not in self.schema.names:
                raise UnknownName(f"column of {self.path}", name, self.schema.names)
        wanted = condition(str(self.path), where, self.schema)
        return portions(_without_first(self._read(columns, where, wanted), skip), size)

    def _read(self, columns: Sequence[str], where: Where, wanted: ds.Expression | None) -> Iterator[pa.Table]:
        read = [*dict.fromkeys([*columns, *(column for column, _, _ in where)])]
        start = 0
        try:
            for batch in self._batches(read):
                rows = pa.Table.from_batches([batch])
                rows = rows.append_column(SEQUENCE, pa.array(np.arange(start, start + rows.num_rows)))
                start += batch.num_rows
                found = rows if wanted is None else rows.filter(wanted)
                if found.num_rows:
                    yield found.select([*columns, SEQUENCE])
        except (OSError, pa.ArrowException) as broken:
            raise BadInput(f"{self.path} cannot be read: {broken}; mend the files") from broken

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """One row group after another: a scan of all would read ahead of whoever is slow."""
        for file in self.files.get_fragments():
            for group in file.split_by_row_group():
                yield from group.to_batches(self.files.schema, columns=[*columns], batch_size=_AHEAD)


def _files(path: Path, pinned: str) -> FileRows:
    if not path.exists():
        raise NotFound("file or folder", str(path), "give a Parquet file, a folder of them, or a table")
    try:
        files = ds.dataset(path, format="parquet")
        rows = files.count_rows()
    except (OSError, pa.ArrowException) as broken:
        raise BadInput(f"{path} cannot be read: {broken}; give Parquet files") from broken
    if not files.files:
        raise NotFound("Parquet file", f"in {path}", "give a Parquet file, a folder of them, or a table")
    if SEQUENCE in files.schema.names:
        raise BadInput(f"{path} has a column {SEQUENCE}, which is kept for the positions of rows; rename it")
    states = [(name, Path(name).stat()) for name in files.files]
    digest = digest_json([[name, state.st_size, state.st_mtime_ns] for name, state in states])
    found = FileRows(path, files, f"{path.resolve()}@{digest[:16]}", rows)
    if pinned and pinned != found.ref:
        raise BadInput(
            f"{path} changed since its scoring began, and some of its rows are scored already; "
            "put the files back, or score into another target"
        )
    return found


def _without_first(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The tables without so many rows at their beginning."""
    for table in tables:
        left = table.slice(min(rows, table.num_rows))
        rows -= table.num_rows - left.num_rows
        if left.num_rows:
            yield left
