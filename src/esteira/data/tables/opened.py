"""One open table: what its log says, kept current by reading new entries only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from pyarrow import fs

from esteira.base.errors import BadInput, CorruptArtifact, EsteiraError
from esteira.data.tables.commits import Commits
from esteira.data.tables.log import CHECKPOINT_EVERY, appending, entry, evolving, publish, read_entry
from esteira.data.tables.parquet import fragment, problem_with
from esteira.data.tables.scanning import Extent, Piece
from esteira.data.tables.schema import TIME, conform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.dataset as ds

    from esteira.base.records import TableVersion
    from esteira.data.tables.facts import Facts


class LibraryRefused(EsteiraError):
    """The Delta library did not do what it was asked, often since another writer came first."""


class Library(Protocol):
    """What a Delta library does for one table. Raises: CorruptArtifact, of a log that it cannot read."""

    def __init__(self, name: str, folder: Path) -> None: ...

    def newest(self) -> int:
        """The number of the version it knows as the newest."""
        ...

    def count(self, version: int) -> int:
        """The rows of a version."""
        ...

    def files(self, version: int) -> list[dict[str, Any]]:
        """The data files of a version: path, size_bytes, num_records (None if unknown)."""
        ...

    def dataset(self, version: int, place: fs.FileSystem) -> ds.Dataset:
        """A version as it is read where another tool has committed."""
        ...

    def append(self, facts: Facts) -> None:
        """Commit a file beside other tools. Raises: LibraryRefused."""
        ...

    def checkpoint(self) -> None:
        """Write what is committed by now into one file. Raises: LibraryRefused."""
        ...

    def schema_of(self, text: str) -> pa.Schema:
        """The columns that a log entry spells."""
        ...

    @staticmethod
    def spelt(schema: pa.Schema) -> str:
        """The columns as a log entry spells them."""
        ...


class OpenTable:
    """A table with all that any process had committed when it was last refreshed.

    Raises: CorruptArtifact.
    """

    def __init__(self, name: str, folder: Path, library: Library) -> None:
        self.folder = folder
        self.commits = Commits(name)
        self._library = library
        self._place = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
        self._files: list[Piece] = []  # of the layout after so many merges
        self._merges = 0
        self._schemas: dict[str, pa.Schema] = {}
        newest = library.newest()
        self.refresh()
        if len(self.commits.versions) <= newest:
            lost = entry(folder, len(self.commits.versions)).name
            raise CorruptArtifact(f"log of table {name}", f"{newest + 1} entries", f"no {lost}")

    def refresh(self) -> None:
        while (new := entry(self.folder, len(self.commits.versions))).exists():
            self.commits.add(read_entry(new), self._library.count)

    def schema(self, version: int) -> pa.Schema:
        """The columns of a version."""
        said = self.commits.metadata(version)["schemaString"]
        if said not in self._schemas:
            self._schemas[said] = self._library.schema_of(said)
        return self._schemas[said]

    def conform(self, rows: pa.Table) -> pa.Table:
        """The rows as the table has them. Raises: SchemaChanged, BadInput."""
        if not self.commits.is_ours and self.metadata.get("partitionColumns"):
            raise BadInput(f"table {self.commits.table} has partitions; append with the tool that made it")
        return conform(rows, self.schema(len(self.commits.versions) - 1), self.commits.table)

    def append(self, facts: Facts) -> bool:
        """Add a file as the next free version; False when others changed what counts meanwhile.

        Raises: StorageUnwritable, LibraryRefused.
        """
        if not self.commits.is_ours:
            self._library.append(facts)
            return True
        said = self.metadata
        return self.change(
            appending(facts), lambda: self.metadata is said and not self.commits.holding(facts.token)
        )

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Delta's metadata of the newest version."""
        return self.commits.metadata(len(self.commits.versions) - 1)

    def change(self, actions: Sequence[Mapping[str, Any]], still_wanted: Callable[[], bool]) -> bool:
        """Make actions the next free version, unless what others did meanwhile forbids it.

        Raises: StorageUnwritable, LibraryRefused.
        """
        while self.commits.is_ours and still_wanted():
            if self.publish(actions):
                return True
            self.refresh()
        return False

    def still_has(self, facts: Facts) -> bool:
        """Whether all that a compaction would replace is still here."""
        return self.commits.layout.has(facts.merges)

    def evolve(self, schema: pa.Schema, facts: Facts) -> bool:
        """Give the table a schema; False when others changed it meanwhile. Raises: as `change`."""
        before = self.metadata
        times = [field.name for field in schema if field.type == TIME]
        actions = evolving(before, self._library.spelt(schema), times, facts)
        return self.change(actions, lambda: self.metadata is before)

    def publish(self, actions: Sequence[Mapping[str, Any]]) -> bool:
        """Make actions the version after those that are known; False if another writer was first.

        Raises: StorageUnwritable, LibraryRefused (a checkpoint that could not be made; the version stands).
        """
        number = len(self.commits.versions)
        if not publish(self.folder, number, actions):
            return False
        self.refresh()
        if (number + 1) % CHECKPOINT_EVERY == 0:
            self._library.checkpoint()
        return True

    def extent(self, version: TableVersion, *, after: TableVersion | None = None) -> Extent:
        """The rows of a version, without those of an earlier one. Raises: BadInput, CorruptArtifact."""
        first = after.rows if after else 0
        if after and after.version > version.version:
            raise BadInput(f"nothing of {version.ref} came after {after.ref}; give the earlier one as since")
        if self.commits.is_in_ours(version.version):
            return self.between(version, first)
        found = self._extent_among_others(version)
        if after:
            known = [piece.fragment.path for piece in self.extent(after).files]
            if known != [piece.fragment.path for piece in found.files[: len(known)]]:
                raise BadInput(
                    f"another tool has changed rows of {after.ref} by {version.ref}; read all, without since"
                )
        return replace(found, first=first)

    def holding(self, run: Sequence[Facts]) -> Extent:
        """The rows of some of the newest files."""
        first = self.commits.layout.start(run[0])
        rows = sum(file.rows for file in run)
        return self.between(self.commits.version(None), first, first + rows)

    def between(self, version: TableVersion, first: int, last: int | None = None) -> Extent:
        """The rows at positions [first, last) of a version in our own files; to its end if not said."""
        layout = self.commits.layout
        if self._merges != layout.merges:
            self._files, self._merges = [], layout.merges
        for at in range(len(self._files), len(layout.files)):
            facts = layout.files[at]
            self._files.append(Piece(fragment(self._place, facts), layout.starts[at], facts.rows))
        last = version.rows if last is None else last
        files = self._files[layout.holding(first, last)]
        return Extent(version, self.schema(version.version), files, first, last, self._place, layout.merges)

    def _extent_among_others(self, version: TableVersion) -> Extent:
        found = self._library.dataset(version.version, self._place)
        counts = {row["path"]: row["num_records"] for row in self._library.files(version.version)}
        files, start = [], 0
        for each in sorted(found.get_fragments(), key=lambda file: self.commits.order(file.path)):
            rows = counts.get(each.path)
            files.append(Piece(each, start, each.metadata.num_rows if rows is None else rows))
            start += files[-1].rows
        return Extent(version, found.schema, files, 0, start, self._place, self.commits.layout.merges)

    def files(self, version: TableVersion) -> list[tuple[str, int]]:
        """The data files of a version with their sizes in bytes."""
        layout = self.commits.layout
        if self.commits.is_in_ours(version.version):
            return [(facts.file, facts.size) for facts in layout.files[layout.holding(0, version.rows)]]
        return [(row["path"], row["size_bytes"]) for row in self._library.files(version.version)]

    def problems(self, version: TableVersion) -> Iterator[tuple[str, str, str]]:
        """Files of a version that are not what was written: path, expected, found."""
        for path, size in self.files(version):
            wrong = problem_with(self.folder / path, size, self.commits.digests.get(path, ""))
            if wrong is not None:
                yield path, *wrong
