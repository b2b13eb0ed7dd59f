"""Reading tables on Delta Lake: always their newest files, of which every version is the first rows."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from esteira.base.errors import BadInput, CorruptArtifact, NotFound
from esteira.base.optional import path_of
from esteira.data.tables.compaction import runs
from esteira.data.tables.log import LOG, is_table
from esteira.data.tables.opened import OpenTable
from esteira.data.tables.port import SEQUENCE, TARGET_BYTES, Described
from esteira.data.tables.scanning import portions, read, scan
from esteira.data.tables.where import question

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esteira.base.records import TableVersion
    from esteira.data.tables.opened import Library
    from esteira.data.tables.scanning import Extent
    from esteira.data.tables.where import Question

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", re.ASCII)


class TableReader:
    """A folder of Delta tables, one subfolder each, as far as it is read.

    Files that go away under a reader have been merged into others: it goes on there, at the same row.
    """

    def __init__(self, url: str, library: type[Library]) -> None:
        self.url = url
        self._library = library
        self.root = Path(path_of(url))
        self._opened: dict[str, OpenTable] = {}
        self._lock = threading.RLock()

    def read(
        self,
        name: str,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
    ) -> pa.Table:
        while True:
            with self._lock:
                table = self._known(name)
                extent = table.extent(table.commits.version(version))
            asked = question(extent.version, extent.schema, columns, where)
            try:
                return read(extent, asked)
            except (OSError, pa.ArrowException) as failed:
                self._go_on(extent, failed, where)

    def scan(
        self,
        name: str,
        *,
        since: int | None = None,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        size: int = 131_072,
    ) -> Iterator[pa.Table]:
        if size < 1:
            raise BadInput(f"batches of {size} rows cannot be; give a size of at least 1")
        with self._lock:
            table = self._known(name)
            after = None if since is None else table.commits.version(since)
            extent = table.extent(table.commits.version(version), after=after)
        if SEQUENCE in extent.schema.names:
            raise BadInput(f"{name} has a column {SEQUENCE}, which another tool made; rename it there")
        asked = question(extent.version, extent.schema, columns, where)
        return portions(self._batches(extent, asked, size, where), size)

    def _batches(
        self, extent: Extent, asked: Question, size: int, where: Sequence[tuple[str, str, Any]]
    ) -> Iterator[pa.Table]:
        while True:
            try:
                for batch in scan(extent, asked, size):
                    extent = replace(extent, first=batch.reached)
                    yield pa.Table.from_batches([batch.rows])
                return
            except (OSError, pa.ArrowException) as failed:
                extent = self._go_on(extent, failed, where)

    def _go_on(self, extent: Extent, failed: Exception, where: Sequence[tuple[str, str, Any]]) -> Extent:
        """The same rows where they lie now, if files were merged since they were looked up. Raises: else."""
        version = extent.version
        with self._lock:
            table = self._known(version.table)
            if table.commits.layout.merges != extent.merges:
                return table.between(version, extent.first, extent.last)
            problems = [*table.problems(version)]
        for path, expected, found in problems:
            raise CorruptArtifact(f"{path} of {version.ref}", expected, found) from failed
        if where:
            raise BadInput(f"cannot read {version.ref} where {[*where]}: {failed!s}") from failed
        raise CorruptArtifact(f"a file of {version.ref}", "readable rows", str(failed)) from failed

    def version(self, name: str, number: int | None = None) -> TableVersion:
        with self._lock:
            return self._known(name).commits.version(number)

    def holding(self, name: str, token: str) -> TableVersion | None:
        with self._lock:
            table = self._find(name)
            return table.commits.holding(token) if table else None

    def history(self, name: str) -> list[TableVersion]:
        with self._lock:
            return [*self._known(name).commits.versions]

    def names(self) -> list[str]:
        return sorted(path.parent.name for path in self.root.glob(f"*/{LOG}") if is_table(path.parent))

    def check(self, name: str) -> list[str]:
        with self._lock:
            self._opened.pop(name, None)  # what the disk says, not what we remember
            try:
                table = self._known(name)
                newest = table.commits.version(None)
                problems = [*table.problems(newest)]
            except CorruptArtifact as broken:
                return [str(broken)]
        return [f"{path} of {newest.ref}: expected {want}, found {found}" for path, want, found in problems]

    def describe(self, name: str) -> Described:
        with self._lock:
            table = self._known(name)
            newest = table.commits.version(None)
            files = table.files(newest)
            is_ours = table.commits.is_ours
            own = table.commits.layout.files if is_ours else []
            mergeable = sum(len(run) for run in runs(own, TARGET_BYTES))
            size = sum(size for _, size in files)
            return Described(newest, table.schema(newest.version), len(files), size, mergeable, is_ours)

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name!r} cannot name a table; use letters, digits, _ and -, at most 100")
        return self.root / name

    def _find(self, name: str) -> OpenTable | None:
        """The table with all that any process has committed by now."""
        table = self._opened.get(name)
        if table is not None:
            table.refresh()
            return table
        folder = self._folder(name)
        if not is_table(folder):
            return None
        return self._opened.setdefault(name, OpenTable(name, folder, self._library(name, folder)))

    def _known(self, name: str) -> OpenTable:
        table = self._find(name)
        if table is None:
            known = ", ".join(self.names()) or "none; fill them with: esteira run"
            raise NotFound("table", name, f"there are: {known}")
        return table
