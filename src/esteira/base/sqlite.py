"""SQLite in WAL mode, the embedded default for journals, ledgers and rollout state."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esteira.base.errors import CorruptArtifact, EsteiraError, StorageUnwritable
from esteira.base.files import locked, writing
from esteira.base.optional import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

BUSY_MS = 20_000
_APPEND_ONLY = """
CREATE TRIGGER IF NOT EXISTS {table}_stay BEFORE UPDATE ON {table}
    BEGIN SELECT RAISE(ABORT, 'a row of {table} is never changed'); END;
CREATE TRIGGER IF NOT EXISTS {table}_remain BEFORE DELETE ON {table}
    BEGIN SELECT RAISE(ABORT, 'a row of {table} is never deleted'); END;
"""


class Database:
    """One SQLite file: a connection per thread, WAL, durable commits, and our errors for its refusals.

    Raises: StorageUnwritable (read-only or full disk), CorruptArtifact (not a database).
    """

    def __init__(self, url: str, schema: str = "") -> None:
        self.path = Path(path_of(url))
        self._local = threading.local()
        with writing(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self.ensure(schema)

    def ensure(self, schema: str) -> None:
        """Create what is missing; `schema` holds `CREATE … IF NOT EXISTS` statements."""
        with self._translated():
            self._connection().executescript(schema)

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self.path, timeout=BUSY_MS / 1000, isolation_level=None)
            found.row_factory = sqlite3.Row
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=FULL")
            self._local.connection = found
        return found

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._translated():
            return self._connection().execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed when the block ends well, undone when it does not."""
        with self._translated():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has already rolled back
                    connection.execute("ROLLBACK")
                raise

    def append_only(self, table: str) -> None:
        """See `SqlDatabase.append_only`."""
        self.ensure(_APPEND_ONLY.format(table=table))

    def changes(self) -> int:
        """See `SqlDatabase.changes`; of this thread's connection alone."""
        with self._translated():
            return int(self._connection().execute("PRAGMA data_version").fetchone()[0])

    def exclusive(self, name: str, patience_s: float | None = None) -> AbstractContextManager[None]:
        """See `SqlDatabase.exclusive`: a lock file beside the database."""
        return locked(self.path.with_suffix(f".{name}.lock"), patience_s)

    def close(self) -> None:
        """Close this thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            found.close()
            self._local.connection = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as refused:
            raise StorageUnwritable(str(self.path), str(refused)) from refused
        except sqlite3.DatabaseError as broken:
            if isinstance(broken, sqlite3.IntegrityError):
                raise EsteiraError(f"{self.path.name} refused a write: {broken}") from broken
            raise CorruptArtifact(str(self.path), "a SQLite database", str(broken)) from broken
