"""What journals and ledgers ask of a SQL database.

One text of SQL serves them all: `?` stands for a value and for nothing else, whole numbers are `BIGINT`,
and a row that is there is replaced by `INSERT … ON CONFLICT … DO UPDATE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager


class Record(Protocol):
    """One row of an answer, by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any: ...  # noqa: ANN401 - what the column holds


class Answer(Protocol):
    """What a statement gave."""

    def fetchone(self) -> Record | None: ...

    def fetchall(self) -> Sequence[Record]: ...


class Writer(Protocol):
    """Executes statements inside a transaction, and sees what they changed."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Answer: ...


class SqlDatabase(Protocol):
    """Durable tables that threads and processes share; one writes at a time, readers do not wait."""

    def ensure(self, schema: str) -> None:
        """Create what is missing; `schema` holds `CREATE … IF NOT EXISTS` statements."""
        ...

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Record]:
        """All rows of a query. Raises: ServiceUnreachable, StorageUnwritable, CorruptArtifact."""
        ...

    def transaction(self) -> AbstractContextManager[Writer]:
        """A write transaction: committed durably when the block ends well, undone when it does not.

        Raises: as `rows`; EsteiraError when a rule of a table is broken.
        """
        ...

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        ...
