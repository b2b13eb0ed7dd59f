"""Tables that only grow: each append makes a version, and any version can be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from esteira.base.records import TableVersion


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
