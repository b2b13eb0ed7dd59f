"""Rows that were published in a range of time, out of a CSV or Parquet file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.data.sources.local_times import Reading, utc
from esteira.data.tables.schema import TIME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import pyarrow.dataset as ds

_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class FileSource:
    """A file as the source of a table: called with (since, until), it gives the rows published in between.

    `published` names the column with the time at which each row could first be seen. Times without zone
    are of `zone`, e.g. "America/New_York"; those that a change of clocks shows twice or skips are refused,
    or settled: as "earliest" or "latest", in a gap the moment before it or after it. With a `schema` only
    its columns are read, in its types. In CSV an empty cell is null, in a column of text an empty text.
    In a project file a relative path begins at the folder of the project.
    The file is read as a stream: memory holds the rows that are returned and little more.
    Raises: BadInput, when made and when called; NotFound, UnknownName (a column), when called.

    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> path = Path(tempfile.mkdtemp(), "flights.csv")
    >>> _ = path.write_text("miles,landed\\n500,2013-07-01 10:00\\n1400,2013-07-01 12:00\\n")
    >>> landed = FileSource(path, published="landed", zone="America/New_York")
    >>> landed(datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 7, 1, 14, tzinfo=UTC))["miles"].to_pylist()
    [500]
    """

    path: Path | str
    published: str
    zone: str = ""
    schema: pa.Schema | None = None
    settle: str = ""

    def __post_init__(self) -> None:
        if self.zone:
            try:
                ZoneInfo(self.zone)
            except (OSError, ValueError, LookupError) as unknown:
                raise BadInput(
                    f"no time zone is named {self.zone!r}; write e.g. zone='America/New_York'"
                ) from unknown
        if self.settle not in ("", "earliest", "latest"):
            raise BadInput(f"settle={self.settle!r} cannot be; use 'earliest' or 'latest'")
        if Path(self.path).suffix not in _SUFFIXES:
            raise BadInput(f"{self.path} must end with {' or '.join(_SUFFIXES)}")
        if self.schema is not None and self.published not in self.schema.names:
            raise UnknownName("column of the schema", self.published, self.schema.names)

    def __call__(self, since: datetime, until: datetime) -> pa.Table:
        after, last = (pa.scalar(to_micros(moment)).cast(TIME) for moment in (since, until))
        found = self._open()
        columns = found.schema.names if self.schema is None else self.schema.names
        for name in [self.published, *columns]:
            if name not in found.schema.names:
                raise UnknownName(f"column of {self.path}", name, found.schema.names)
        try:
            kept = [self._typed(found.schema.empty_table().select(columns), 0)]
            for start, rows in _numbered(found.to_batches(columns=[*columns])):
                typed = self._typed(rows, start)
                moments = typed[self.published]
                kept.append(typed.filter(pc.and_(pc.greater(moments, after), pc.less_equal(moments, last))))
        except (OSError, pa.ArrowException) as broken:
            raise BadInput(f"{self.path} cannot be read: {broken}; mend the file or its schema") from broken
        return pa.concat_tables(kept)

    def _open(self) -> ds.Dataset:
        import pyarrow.dataset as ds

        path = Path(self.path)
        if not path.is_file():
            raise NotFound("file", str(path), "correct the path")
        if not path.stat().st_size:
            raise BadInput(f"{path} is empty; it needs at least the names of its columns")
        try:
            found = ds.dataset(path, format=self._format())
        except (OSError, pa.ArrowException) as broken:
            raise BadInput(f"{path} cannot be read: {broken}; mend the file") from broken
        if path.suffix == ".csv":
            self._refuse_bytes(found.schema)
        return found

    def _refuse_bytes(self, found: pa.Schema) -> None:
        """Text that is not UTF-8 would come in as bytes, and stay bytes in the table."""
        declared = self.schema.names if self.schema is not None else ()
        for field in found:
            if pa.types.is_binary(field.type) and field.name not in declared:
                raise BadInput(f"{field.name} of {self.path} is not UTF-8; save the file as UTF-8")

    def _format(self) -> ds.FileFormat:
        import pyarrow.dataset as ds
        from pyarrow.csv import ConvertOptions

        if Path(self.path).suffix == ".parquet":
            return ds.ParquetFileFormat()
        kinds = {field.name: _spelt(field.type) for field in self.schema or ()}
        kinds[self.published] = pa.string()
        options = ConvertOptions(column_types=kinds)
        return ds.CsvFileFormat(convert_options=options)

    def _typed(self, rows: pa.Table, start: int) -> pa.Table:
        """The rows with their times in UTC and their columns as declared; `start` rows came before."""
        for at, field in enumerate(rows.schema):
            if field.name == self.published or self._is_time(field):
                reading = Reading(f"{field.name} of {self.path}", start, self.zone, self.settle)
                rows = rows.set_column(at, field.name, utc(rows[field.name], reading))
        moments = rows[self.published]
        if moments.null_count:
            row = start + pc.index(moments.is_null(), True).as_py() + 1
            raise BadInput(f"{self.published} of {self.path} is empty in row {row}; fill it")
        if self.schema is None:
            return rows
        kinds = [TIME if self._is_time(field) else field.type for field in self.schema]
        return rows.cast(pa.schema(zip(self.schema.names, kinds, strict=True)))

    def _is_time(self, field: pa.Field) -> bool:
        declared = field if self.schema is None else self.schema.field(field.name)
        return bool(pa.types.is_timestamp(declared.type))


def _spelt(kind: pa.DataType) -> pa.DataType:
    """Times are read as text, so that one without zone is not taken for one in UTC."""
    return pa.string() if pa.types.is_timestamp(kind) else kind


def _numbered(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    start = 0
    for batch in batches:
        yield start, pa.Table.from_batches([batch])
        start += batch.num_rows
