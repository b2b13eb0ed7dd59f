"""What journals and ledgers ask of a SQL database.

One text of SQL serves them all: `?` stands for a value and for nothing else, whole numbers are `BIGINT`,
others `DOUBLE PRECISION`, bytes `BYTEA`; a row that is there is replaced by
`INSERT … ON CONFLICT … DO UPDATE`; a number that grows is
`(SELECT coalesce(max(number), 0) + 1 FROM …)`, as one writes at a time.
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

    @property
    def rowcount(self) -> int:
        """How many rows an INSERT, UPDATE or DELETE touched."""
        ...


class Writer(Protocol):
    """Executes statements inside a transaction, and sees what they changed."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Answer: ...

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]], /) -> object:
        """The same statement for each of `rows`, which may be none."""
        ...


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

    def append_only(self, table: str) -> None:
        """From now on refuse to change or delete a row of a table that is there. Raises: as `rows`."""
        ...

    def changes(self) -> int:
        """A number that differs once another connection has committed something: cheap enough to poll.

        Only numbers that one thread got tell anything when compared. Look at it before you read, so that no
        later write is missed. Raises: as `rows`.
        """
        ...

    def exclusive(self, name: str, patience_s: float | None = None) -> AbstractContextManager[None]:
        """Hold a lock of the database: one holder at a time, among threads, processes and machines.

        It is waited for as long as that takes, or as `patience_s` says; a holder that dies lets go. None may
        take it twice. Transactions do not wait for it.
        Raises: StillLocked (the patience is over), StorageUnwritable, ServiceUnreachable.
        """
        ...

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        ...
