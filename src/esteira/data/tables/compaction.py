"""Which small files become one, and the file that they become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.data.tables.facts import Facts, Merge
from esteira.data.tables.parquet import stream_data_file
from esteira.data.tables.schema import TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from esteira.data.tables.facts import Span


def runs(files: Sequence[Facts], target_bytes: int) -> list[list[Facts]]:
    """Files that follow one another and are worth one file of about a size.

    A file joins those after it only when they are together half as large at least: so a table that is
    compacted again and again writes each row a logarithm of its size times, not once for each time.

    >>> sizes = [90, 30, 9, 1, 1, 1]
    >>> files = [Facts(rows=1, at=0, file=str(at), size=size) for at, size in enumerate(sizes)]
    >>> [[file.size for file in run] for run in runs(files, target_bytes=100)]
    [[1, 1, 1]]
    """
    found: list[list[Facts]] = [[]]
    size = 0
    for file in files:
        if size + file.size > target_bytes:
            found.append([])
            size = 0
        if file.size < target_bytes:
            found[-1].append(file)
            size += file.size
    return [worth for run in found if len(worth := _worth(run)) > 1]


def _worth(run: list[Facts]) -> list[Facts]:
    after = sum(file.size for file in run)
    for at, file in enumerate(run):
        after -= file.size
        if file.size <= 2 * after:
            return run[at:]
    return []


def merged(folder: Path, schema: pa.Schema, run: Sequence[Facts], rows: Iterable[pa.Table], at: int) -> Merge:
    """One file, durably, in the place of a run whose rows are given. Unit: `at` in UTC microseconds.

    Raises: StorageUnwritable, and what `rows` raises.
    """
    written = stream_data_file(folder, schema, rows)
    times = [field.name for field in schema if field.type == TIME]
    spans = {name: span for name in times if (span := _span(run, name)) is not None}
    made = Facts(sum(file.rows for file in run), at, "", *written, spans)
    return Merge(made, tuple(file.file for file in run))


def _span(run: Sequence[Facts], column: str) -> Span | None:
    """The span of all; None when no file knows one, since then all is null."""
    known = [file.spans[column] for file in run if column in file.spans]
    if not known:
        return None
    absent = sum(file.rows for file in run if column not in file.spans)
    firsts, lasts, nulls = zip(*known, strict=True)
    return min(firsts), max(lasts), sum(nulls) + absent
