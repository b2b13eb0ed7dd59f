"""Rows that come as a Parquet file: columns of numbers and texts, of a size that a request may have."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from esteira.base.optional import load
from esteira.serving.http.decoding import MalformedBody
from esteira.serving.http.formats import UnfitRows, known_fields, refuse_missing, rows_of_columns

if TYPE_CHECKING:
    from esteira.registry.signature import Signature

    Rows = list[dict[str, Any]]

MOST_CELLS = 1_000_000  # a few kilobytes of Parquet can hold billions of equal values
MOST_BYTES = 64 * 1024 * 1024  # uncompressed

_READER = "pyarrow.parquet:ParquetFile"  # loaded by the first such request


def rows_of_parquet(body: bytes, signature: Signature) -> Rows:
    """The rows of a Parquet file, of the columns that the model knows. Raises: MalformedBody, UnfitRows."""
    try:
        with load(_READER)(pa.BufferReader(body)) as file:
            names: list[str] = file.schema_arrow.names
            refuse_missing(names, signature)
            kept = [name for name in names if name in known_fields(signature)]
            if len({*kept}) < len(kept):
                raise UnfitRows(f"a column comes twice among {', '.join(kept)[:200]}; send it once")
            _refuse_large(file.metadata, len(kept))
            table = file.read(columns=kept, use_threads=False)  # the cores are the requests'
            return rows_of_columns({name: _values(table[name]) for name in kept})
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as wrong:
        raise MalformedBody(f"the body is no Parquet file that can be read: {wrong}") from wrong


def _refuse_large(metadata: Any, columns: int) -> None:  # noqa: ANN401 - pyarrow ships no types
    cells = metadata.num_rows * columns
    if cells > MOST_CELLS:
        raise MalformedBody(f"at most {MOST_CELLS} values at once, found {cells}; send several requests")
    # Of whole row groups: asked for one of their columns, pyarrow 25 ends the process when that is damaged.
    size = sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups))
    if size > MOST_BYTES:
        raise MalformedBody(f"at most {MOST_BYTES} bytes uncompressed, found {size}; send several requests")


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_dictionary(column.type):  # how pandas writes its categories
        column = column.cast(column.type.value_type)
    values: list[Any] = column.to_pylist()
    if pa.types.is_decimal(column.type):
        return [float(each) if isinstance(each, Decimal) else each for each in values]
    return values
