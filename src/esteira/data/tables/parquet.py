"""One data file: written durably, with its digest, and read back with its checksums."""

from __future__ import annotations

import os
from functools import reduce
from itertools import chain, islice
from operator import and_
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from esteira.base.digest import digest_file
from esteira.base.files import sync_folder, writing
from esteira.data.tables.facts import Facts, Span
from esteira.data.tables.schema import TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pyarrow import fs

ROWS_PER_GROUP = 131_072
_SAMPLE = 4_096  # rows
FORMAT = ds.ParquetFileFormat()
# A page whose bytes changed on disk is refused, not decoded into other numbers.
VERIFIED = ds.ParquetFragmentScanOptions(pre_buffer=True, page_checksum_verification=True)
# What is buffered ahead is held until its file is done, and files may be large: a stream reads as it goes.
STREAMED = ds.ParquetFragmentScanOptions(pre_buffer=False, page_checksum_verification=True)


def write_data_file(folder: Path, rows: pa.Table, *, at: int, token: str = "") -> Facts:
    """Write rows to a new file in a folder, durably, and say what its commit must record.

    No rows make no file; nothing is left behind by a failure. Unit: `at` in UTC microseconds.
    Raises: StorageUnwritable.
    """
    if not rows.num_rows:
        return Facts(0, at, token)
    written = stream_data_file(folder, rows.schema, [rows])
    times = [field.name for field in rows.schema if field.type == TIME]
    spans = {name: span for name in times if (span := _span(rows[name])) is not None}
    return Facts(rows.num_rows, at, token, *written, spans)


class Written(NamedTuple):
    """A data file that is on the disk."""

    file: str
    digest: str
    size: int  # bytes


def stream_data_file(folder: Path, schema: pa.Schema, rows: Iterable[pa.Table]) -> Written:
    """Write rows to a new file as they come, durably; nothing is left behind by a failure.

    Raises: StorageUnwritable, and what `rows` raises.
    """
    path = folder / f"part-{uuid4()}.parquet"
    with writing(path):
        try:
            coming = iter(rows)
            first = list(islice(coming, 1))
            with pq.ParquetWriter(path, schema, **options_for(schema, first)) as writer:
                for each in chain(first, coming):
                    writer.write_table(each, row_group_size=ROWS_PER_GROUP)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(folder)
            return Written(path.name, digest_file(path), path.stat().st_size)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def options_for(schema: pa.Schema, first: Sequence[pa.Table]) -> dict[str, Any]:
    """How rows of a schema are written: compressed, with a checksum for each page.

    Floats that do not repeat among the first rows get no dictionary: looking for repetitions would take three
    times as long as writing them, and make the file larger.
    """
    repeating = [field.name for field in schema if _may_repeat(field, first)]
    return {"compression": "zstd", "write_page_checksum": True, "use_dictionary": repeating}


def _may_repeat(field: pa.Field, first: Sequence[pa.Table]) -> bool:
    kind = field.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not pa.types.is_floating(kind.value_type if is_list else kind):
        return True
    if is_list or not first:
        return False
    seen = first[0][field.name].slice(0, _SAMPLE)
    return bool(pc.count_distinct(seen).as_py() <= len(seen) / 2)


def problem_with(path: Path, size: int, digest: str = "") -> tuple[str, str] | None:
    """What was expected of a data file and what is found instead; None when it is whole."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return "a data file", "nothing"
    if found != size:
        return f"{size} bytes", f"{found} bytes"
    if digest and (now := digest_file(path)) != digest:
        return digest, now
    return None


def _span(times: pa.ChunkedArray) -> Span | None:
    ends = pc.min_max(times.cast(pa.int64())).as_py()
    return None if ends["min"] is None else (ends["min"], ends["max"], times.null_count)


def fragment(place: fs.FileSystem, facts: Facts) -> ds.Fragment:
    """A data file that a scan opens only if its times can match."""
    bounds = [_bounds(name, *span) for name, span in facts.spans.items()]
    whole = reduce(and_, bounds) if bounds else None
    return FORMAT.make_fragment(facts.file, filesystem=place, partition_expression=whole)


def _bounds(name: str, first: int, last: int, nulls: int) -> ds.Expression:
    inside = (ds.field(name) >= pa.scalar(first, TIME)) & (ds.field(name) <= pa.scalar(last, TIME))
    return inside | ds.field(name).is_null() if nulls else inside
