"""pyarrow tables as Parquet whose bytes depend on nothing but rows, schema and the version of pyarrow.

Fixed options, fixed row groups whatever the chunks, no metadata of the table or its fields (pandas writes
its version there). Another version of pyarrow may write other bytes: it is part of every cache key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from esteira.base.errors import CorruptArtifact
from esteira.pipelines.codecs.port import Unstorable

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.pipelines.annotations import Annotation

FILE = "table.parquet"
GROUP = 1 << 18  # rows
_ELEMENT = "element"  # what Parquet calls it
_OPTIONS = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": True,
    "write_statistics": True,
    "store_schema": True,
}


class TableCodec:
    """One Parquet file."""

    def __init__(self, url: str = "table") -> None:
        self.url = url

    def save(self, value: pa.Table, folder: Path) -> None:
        table = value.unify_dictionaries()
        try:
            with pq.ParquetWriter(folder / FILE, bare_schema(table.schema), **_OPTIONS) as writer:
                for start in range(0, table.num_rows, GROUP):
                    writer.write_table(table.slice(start, GROUP).combine_chunks(), row_group_size=GROUP)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as wrong:
            raise Unstorable("a table", str(wrong)) from wrong
        if any(pa.types.is_nested(kind) for kind in table.schema.types):
            self._prove(folder)

    def _prove(self, folder: Path) -> None:
        """Some nested values are written that cannot be read, such as a null among lists of fixed size."""
        try:
            self.load(folder, pa.Table)
        except CorruptArtifact as wrong:
            raise Unstorable("a table", f"Parquet cannot read it back: {wrong.found}") from wrong

    def load(self, folder: Path, declared: Annotation) -> object:
        try:
            with pq.ParquetFile(folder / FILE, memory_map=True) as file:
                return file.read().replace_schema_metadata(None)
        except (OSError, pa.ArrowException) as broken:
            raise CorruptArtifact(f"artifact {folder.name}", "Parquet", str(broken)) from broken

    def settled(self, value: pa.Table, folder: Path, declared: Annotation) -> object:
        """The table itself if Parquet kept all its types, else what it made of it."""
        table = value.replace_schema_metadata(None)
        read = pq.read_schema(folder / FILE).remove_metadata()
        return table if read.equals(table.schema, check_metadata=True) else self.load(folder, declared)


def bare_schema(schema: pa.Schema) -> pa.Schema:
    """A schema without metadata at any depth, and with one name for what is in a list."""
    return pa.schema([_bare_field(field) for field in schema])


def _bare_field(field: pa.Field, name: str = "") -> pa.Field:
    return pa.field(name or field.name, _bare_type(field.type), field.nullable)


def _bare_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([_bare_field(kind.field(at)) for at in range(kind.num_fields)])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_bare_field(kind.value_field, _ELEMENT), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_bare_field(kind.value_field, _ELEMENT))
    if pa.types.is_large_list(kind):
        return pa.large_list(_bare_field(kind.value_field, _ELEMENT))
    if pa.types.is_map(kind):
        return pa.map_(_bare_field(kind.key_field), _bare_field(kind.item_field), kind.keys_sorted)
    return kind
