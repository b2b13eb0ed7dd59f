"""What a table holds, as one digest: of names, types, values, nulls and the order of rows, of nothing else.

Neither chunks nor metadata, neither dictionaries nor the width of offsets, no version of Arrow or Parquet
changes it. A column is digested in blocks of rows: which of them are null, then the values that are there;
numbers as their little-endian bytes, text as lengths and UTF-8, lists as lengths and what they hold.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from esteira.base.digest import digest_json
from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Feed = Callable[[Any], None]  # of anything with bytes

FORMAT = 1  # of the digest: a new number gives every table another name
BLOCK_ROWS = 1 << 16


class NoContent(BadInput):
    """A column whose values have no bytes of their own that are the same everywhere."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"a column of type {kind} cannot be digested; cast it, e.g. to text or numbers")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ColumnContent:
    """One column: its name, the type of its values, and the digest of them in their order."""

    name: str
    type: str
    digest: str


@dataclass(frozen=True, slots=True)
class TableContent:
    """A table by what it holds."""

    rows: int
    columns: tuple[ColumnContent, ...]

    @property
    def digest(self) -> str:
        """The name of the table: equal for two tables exactly when a reader sees no difference.

        >>> import pyarrow as pa
        >>> words = pa.table({"carrier": pa.array(["UA", "AA", None])})
        >>> coded = pa.table({"carrier": words["carrier"].dictionary_encode()})
        >>> content_of(words).digest == content_of(coded).digest
        True
        """
        columns = [[each.name, each.type, each.digest] for each in self.columns]
        return digest_json({"format": FORMAT, "rows": self.rows, "columns": columns})


def content_of(table: pa.Table) -> TableContent:
    """Digest a table, column by column. NaN is one value, whatever its bits; the two zeros are two.

    Raises: NoContent (unions, extension types and others without a plain form).
    """
    columns = zip(table.column_names, table.columns, strict=True)
    found = tuple(ColumnContent(name, type_name(values.type), _digest(values)) for name, values in columns)
    return TableContent(table.num_rows, found)


def type_name(kind: pa.DataType) -> str:
    """The type of the values, however they are stored. Raises: NoContent.

    >>> type_name(pa.dictionary(pa.int8(), pa.large_string())), type_name(pa.list_(pa.int64()))
    ('string', 'list<int64>')
    """
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if _is_text(kind):
        return "string"
    if _is_bytes(kind):
        return "binary"
    if _is_fixed(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return str(kind)
    return _nested_name(kind)


def _nested_name(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_struct(kind):
        fields = (kind.field(at) for at in range(kind.num_fields))
        return f"struct<{', '.join(f'{json.dumps(each.name)}: {type_name(each.type)}' for each in fields)}>"
    if types.is_map(kind):
        return f"map<{type_name(kind.key_type)}, {type_name(kind.item_type)}>"
    if types.is_fixed_size_list(kind):
        return f"list<{type_name(kind.value_type)}>[{kind.list_size}]"
    if types.is_list(kind) or types.is_large_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    raise NoContent(str(kind))


def _digest(column: pa.ChunkedArray) -> str:
    taking = hashlib.sha256()
    for start in range(0, len(column), BLOCK_ROWS):
        block = column.slice(start, BLOCK_ROWS).combine_chunks()
        _feed(block.combine_chunks() if isinstance(block, pa.ChunkedArray) else block, taking.update)
    return taking.hexdigest()


def _feed(values: pa.Array, feed: Feed) -> None:
    """Nulls first, then the values that are there."""
    values = _plain(values)
    feed(bytes([values.null_count > 0]))
    if values.null_count:
        feed(_bits(values.is_valid()))
        values = values.drop_null()
    kind = values.type
    if pa.types.is_null(kind):
        return
    if pa.types.is_boolean(kind):
        feed(_bits(values))
    elif _is_fixed(kind):
        feed(_fixed(values))
    elif pa.types.is_struct(kind):
        for child in values.flatten():
            _feed(child, feed)
    elif pa.types.is_fixed_size_list(kind):
        _feed(values.flatten(), feed)
    else:
        _feed_lengths(values, feed)


def _feed_lengths(values: pa.Array, feed: Feed) -> None:
    """Text, bytes and lists without nulls: how long each is, then all of them in a row."""
    width = np.int64 if _is_wide(values.type) else np.int32
    offsets = np.zeros(1, width)
    if len(values):
        found = np.frombuffer(values.buffers()[1], width)
        offsets = found[values.offset : values.offset + len(values) + 1]
    feed(np.diff(offsets).astype("<i8"))
    if not (_is_text(values.type) or _is_bytes(values.type)):
        _feed(values.flatten(), feed)
    elif offsets[-1] > offsets[0]:
        feed(memoryview(values.buffers()[2])[offsets[0] : offsets[-1]])


def _plain(values: pa.Array) -> pa.Array:
    """Dictionaries looked up, views of text made text, maps as lists of their entries."""
    kind = values.type
    if pa.types.is_map(kind):
        return values.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
    if pa.types.is_dictionary(kind):
        return _plain(values.dictionary_decode())
    if pa.types.is_string_view(kind):
        return values.cast(pa.large_string())
    return values.cast(pa.large_binary()) if pa.types.is_binary_view(kind) else values


def _fixed(values: pa.Array) -> memoryview | bytes:
    """The bytes of numbers, times, decimals and the like, without nulls."""
    if not len(values):
        return b""
    width = values.type.bit_width // 8
    found = memoryview(values.buffers()[1])[values.offset * width : (values.offset + len(values)) * width]
    if pa.types.is_floating(values.type):
        numbers = np.frombuffer(found, f"<f{width}")
        unknown = np.isnan(numbers)
        if unknown.any():
            found = memoryview(np.where(unknown, numbers.dtype.type(np.nan), numbers).tobytes())
    return found


def _bits(flags: pa.BooleanArray) -> NDArray[np.uint8]:
    return np.packbits(flags.to_numpy(zero_copy_only=False), bitorder="little")


def _is_fixed(kind: pa.DataType) -> bool:
    types = pa.types
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return bool(is_number or types.is_temporal(kind) or types.is_fixed_size_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_wide(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_large_string(kind) or types.is_large_binary(kind) or types.is_large_list(kind))
