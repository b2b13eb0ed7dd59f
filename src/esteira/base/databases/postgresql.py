"""PostgreSQL for journals and ledgers that several machines share."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.rows import dict_row

from esteira.base.errors import BadInput, EsteiraError, ServiceUnreachable, StorageUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from esteira.base.databases.port import Answer

BUSY_MS = 20_000
_PATIENCE = 10  # seconds for a server to accept a connection
_WRITER = 0x65737465697261  # the lock that makes writers take turns, as in SQLite
_UNWRITABLE = (
    psycopg.errors.DiskFull,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.ReadOnlySqlTransaction,
)

_Connection = psycopg.Connection[dict[str, Any]]
_Found = TypeVar("_Found")


class PostgresDatabase:
    """One database of a server: a connection per thread, made again when the server was away.

    A schema of its own is chosen in the URL: `?options=-csearch_path%3DNAME`.
    Raises: BadInput (no URL of a server), ServiceUnreachable, StorageUnwritable.
    """

    def __init__(self, url: str, schema: str = "") -> None:
        self._url = url
        self.address, self._secret = _address(url)
        self._local = threading.local()
        self.ensure(schema)

    def ensure(self, schema: str) -> None:
        """See `SqlDatabase.ensure`."""
        with self._transaction() as connection:  # two that create the same at once would refuse each other
            connection.execute(schema)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """See `SqlDatabase.rows`."""
        with self._translated():
            return self._begun(lambda connection: connection.execute(_portable(sql), values).fetchall())

    @contextmanager
    def transaction(self) -> Iterator[_Writer]:
        """See `SqlDatabase.transaction`."""
        with self._transaction() as connection:
            yield _Writer(connection)

    @contextmanager
    def _transaction(self) -> Iterator[_Connection]:
        with self._translated():
            connection = self._begun(_begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(psycopg.Error):  # the server may be gone, which undoes it too
                    connection.execute("ROLLBACK")
                raise

    def _begun(self, act: Callable[[_Connection], _Found]) -> _Found:
        """What a first statement gives; on a new connection if the old one was lost since its last use."""
        known: _Connection | None = getattr(self._local, "connection", None)
        if known is not None and not known.closed:
            try:
                return act(known)
            except psycopg.OperationalError:
                if not known.closed:
                    raise
        self._local.connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=_PATIENCE,
            prepare_threshold=None,  # a pooler between us and the server may change servers
            row_factory=dict_row,
        )
        return act(self._local.connection)

    def close(self) -> None:
        """See `SqlDatabase.close`."""
        known: _Connection | None = getattr(self._local, "connection", None)
        if known is not None:
            known.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _UNWRITABLE as refused:
            raise StorageUnwritable(self.address, self._said(refused)) from refused
        except psycopg.IntegrityError as broken:
            raise EsteiraError(f"{self.address} refused a write: {self._said(broken)}") from broken
        except (psycopg.OperationalError, psycopg.InterfaceError) as down:
            # What libpq says may repeat the URL, so its error is not shown beside ours.
            raise ServiceUnreachable("PostgreSQL", self.address, self._said(down)) from None

    def _said(self, error: psycopg.Error) -> str:
        said = " ".join(str(error).split())
        for secret in self._secret:
            said = said.replace(secret, "***")
        return said


class _Writer:
    """See `Writer`."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Answer:
        return self._connection.execute(_portable(sql), values)


def _begin(connection: _Connection) -> _Connection:
    connection.execute("BEGIN")
    try:
        connection.execute(f"SET LOCAL lock_timeout = {BUSY_MS}")
        connection.execute(f"SELECT pg_advisory_xact_lock({_WRITER})")
    except psycopg.Error:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
    return connection


@cache
def _portable(sql: str) -> str:
    """The statement with psycopg's placeholders.

    >>> _portable("SELECT 7 % 4 WHERE name = ?")
    'SELECT 7 %% 4 WHERE name = %s'
    """
    return sql.replace("%", "%%").replace("?", "%s")


def _address(url: str) -> tuple[str, tuple[str, ...]]:
    """Where the server is, fit to be shown, and the spellings of the password that are not."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise BadInput("a PostgreSQL URL must be like postgresql://USER@HOST:5432/NAME") from None
    secret = parts.password or ""
    spellings = tuple(dict.fromkeys(each for each in (secret, unquote(secret)) if each))
    return f"{parts.hostname or 'localhost'}{port}{parts.path}", spellings
