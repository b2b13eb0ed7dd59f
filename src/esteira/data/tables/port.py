"""Tables that only grow: each append makes a version, and any version can be read again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from esteira.base.records import TableVersion

SEQUENCE = "_seq"  # a reserved column: the position of a row in its whole table, which never changes
TARGET_BYTES = 128 * 1024 * 1024  # of a compacted file: a scan skips or reads it whole in well under a second
RETENTION = timedelta(days=7)  # what other Delta tools keep of superseded files, too


@dataclass(frozen=True, slots=True)
class Described:
    """A table as it lies on the disk."""

    version: TableVersion  # the newest
    schema: pa.Schema
    files: int
    size: int  # bytes
    mergeable: int  # files that `compact` would replace
    is_ours: bool  # no other tool has committed, so compact, vacuum and evolve are possible


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What was deleted."""

    files: int
    size: int  # bytes


class TableStore(Protocol):
    """Keeps named tables. Rows come back in the order of their commits, and within one in the given order."""

    def append(self, name: str, rows: pa.Table, *, token: str = "") -> TableVersion:
        """Add rows as a new version; a table that does not exist begins with them.

        The same token twice for a table is no second append: the version that holds it is returned.
        No rows make no version, except the first.
        Raises: SchemaChanged, BadInput (a name or type that cannot be kept), StorageUnwritable.
        """
        ...

    def read(
        self,
        name: str,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
    ) -> pa.Table:
        """Rows of a version (the newest if not said) for which all of `where` holds.

        A condition is (column, operator, value); the operators are == != < <= > >= in, not in.
        Raises: NotFound, BadInput, CorruptArtifact (files that are gone or not what was written).
        """
        ...

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
        """The rows that came after version `since` (all when None) up to `version` (the newest when None).

        In table order, in batches of at most `size` rows, none of them empty, each with the int64 column
        `_seq` last: the true position of a row, whatever `where` leaves out. Only a few batches are in
        memory at once.
        Raises: NotFound, BadInput, CorruptArtifact.
        """
        ...

    def version(self, name: str, number: int | None = None) -> TableVersion:
        """A version of a table, the newest if not said. Raises: NotFound."""
        ...

    def holding(self, name: str, token: str) -> TableVersion | None:
        """The version that an append with this token made, if one did."""
        ...

    def history(self, name: str) -> list[TableVersion]:
        """All versions, oldest first. Raises: NotFound."""
        ...

    def names(self) -> list[str]:
        """The tables there are, sorted."""
        ...

    def check(self, name: str) -> list[str]:
        """What is wrong with the files of the newest version, one sentence each; empty when all is well.

        Raises: NotFound.
        """
        ...

    def describe(self, name: str) -> Described:
        """The newest version, its columns and its files. Raises: NotFound, CorruptArtifact."""
        ...

    def compact(self, name: str, *, target_bytes: int = TARGET_BYTES) -> TableVersion | None:
        """Make many small files few large ones of about `target_bytes`, as a version with the same rows.

        Every version reads as before, in the same order. None when nothing is worth it, or others
        compacted meanwhile. Appends go on beside it; memory stays bounded.
        Raises: NotFound, BadInput (another tool has committed), CorruptArtifact, StorageUnwritable.
        """
        ...

    def vacuum(self, name: str, *, older_than: timedelta = RETENTION) -> Vacuumed:
        """Delete data files that no version needs any more, and those that killed writers left behind.

        Every version stays readable, and whoever is reading goes on reading. What was superseded ages by
        the store's clock; what no commit names by the disk's, and stays for a day at least.
        Raises: NotFound, BadInput (another tool has committed), StorageUnwritable.
        """
        ...

    def evolve(self, name: str, schema: pa.Schema) -> TableVersion:
        """Declare columns beside those of the table; rows from before have null there.

        An older version keeps its columns. A schema that says nothing new makes no version.
        Raises: NotFound, SchemaChanged (a column removed or of another type), BadInput (a new column that
        is not nullable or cannot be kept; another tool has committed), StorageUnwritable.
        """
        ...
