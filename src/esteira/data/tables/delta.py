"""Tables on Delta Lake, in a folder.

Each append writes one Parquet file of its own, durably, and then one log entry that names it, with its digest
and token; a reader sees the entry or does not. Of two writers the second takes the next version, so no rows
are lost. What the library does for one append (`write_deltalake`) costs ever more as files grow in number and
lets a power cut tear the log, so the log is written here; the library opens tables, makes checkpoints, and
takes over appends where another tool has committed too.

Tables only grow and compaction keeps the order of rows, so a version is the first rows of the newest files:
what compaction has replaced is needed by no version, and may go.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from esteira.base.clock import SystemClock
from esteira.base.errors import CorruptArtifact
from esteira.data.tables.log import stats
from esteira.data.tables.opened import LibraryRefused
from esteira.data.tables.writing import TableWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow.dataset as ds
    from pyarrow import fs

    from esteira.base.ports import Clock
    from esteira.data.tables.facts import Facts

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class DeltaTables(TableWriter):
    """A folder of Delta tables, one subfolder each; safe for several threads and processes at once.

    The clock dates versions. Raises: as `TableStore` says.
    >>> import tempfile, pyarrow as pa
    >>> tables = DeltaTables("delta:" + tempfile.mkdtemp())
    >>> tables.append("flights", pa.table({"miles": [500, 1400]}), token="january").ref
    'flights@0'
    >>> tables.append("flights", pa.table({"miles": [200]})).rows
    3
    >>> tables.read("flights", version=0)["miles"].to_pylist()
    [500, 1400]
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        super().__init__(url, clock or SystemClock(), DeltaLibrary)


class DeltaLibrary:
    """What the deltalake library does for one table."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        with self._readable():
            self._table = DeltaTable(str(folder))

    def newest(self) -> int:
        return int(self._table.version())

    def count(self, version: int) -> int:
        return int(self._at(version).count())

    def files(self, version: int) -> list[dict[str, Any]]:
        actions = pa.table(self._at(version).get_add_actions())
        listed: list[dict[str, Any]] = actions.select(["path", "size_bytes", "num_records"]).to_pylist()
        return listed

    def dataset(self, version: int, place: fs.FileSystem) -> ds.Dataset:
        with self._readable():
            return self._at(version).to_pyarrow_dataset(filesystem=place)

    def append(self, facts: Facts) -> None:
        # The library knows what changes of others forbid, and sees a token used meanwhile.
        add = AddAction(facts.file, facts.size, {}, facts.at // 1000, data_change=True, stats=stats(facts))
        tokens = [Transaction(facts.token, 1)] if facts.token else None
        about = CommitProperties(custom_metadata=facts.to_plain(), app_transactions=tokens)
        with self._asked(DeltaError):
            found = self._current()
            found.create_write_transaction([add], "append", found.schema(), [], commit_properties=about)

    def checkpoint(self) -> None:
        with self._asked(DeltaError, OSError):
            self._current().create_checkpoint()

    @staticmethod
    def spelt(schema: pa.Schema) -> str:
        return str(Schema.from_arrow(schema).to_json())

    def schema_of(self, text: str) -> pa.Schema:
        with self._readable():
            return pa.schema(Schema.from_json(text).to_arrow())

    def _at(self, version: int) -> DeltaTable:
        with self._readable():
            if version == self._table.version():
                return self._table
            return DeltaTable(str(self._folder), version=version)

    def _current(self) -> DeltaTable:
        with self._readable():
            self._table.update_incremental()
        return self._table

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except DeltaError as broken:
            found = _said(broken)
            raise CorruptArtifact(f"log of table {self._name}", "a readable Delta log", found) from broken

    @contextmanager
    def _asked(self, *kinds: type[Exception]) -> Iterator[None]:
        try:
            yield
        except kinds as refused:
            raise LibraryRefused(_said(refused)) from refused


def _said(error: Exception) -> str:
    """What an error says, in one line and without the library's colours and stack."""
    lines = [line.strip(" ↳") for line in _ANSI.sub("", str(error)).splitlines() if line.strip()]
    stack = next((at for at, line in enumerate(lines) if line.startswith("0: ")), len(lines))
    return ": ".join(lines[:stack])
