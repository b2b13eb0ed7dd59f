"""PostgreSQL for journals and ledgers that several machines share."""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

import psycopg
from psycopg.rows import dict_row

from esteira.base.errors import (
    BadInput,
    CorruptArtifact,
    EsteiraError,
    ServiceUnreachable,
    StorageUnwritable,
)
from esteira.base.files import StillLocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from esteira.base.databases.port import Answer

BUSY_MS = 20_000
_PATIENCE = 10  # seconds for a server to accept a connection
_LOOK_S = 0.02  # between two tries to take a lock
_WRITER = 0x65737465697261  # the lock that makes writers take turns, as in SQLite
_SILENT_S = (10, 5, 3)  # a machine that lost its power is given up after 10 s and three looks, 5 s apart

# What follows is read together with the tables, so it says neither less nor more than they hold. It never
# comes back to a number that it had, not even when an older copy of the database was restored.
_CHANGES = """
CREATE TABLE IF NOT EXISTS esteira_changes (number BIGINT NOT NULL);
INSERT INTO esteira_changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM esteira_changes);
"""
_COMMIT = """
UPDATE esteira_changes
SET number = greatest(number + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
WHERE pg_current_xact_id_if_assigned() IS NOT NULL;
COMMIT
"""
_BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = {patience_ms};
SELECT pg_advisory_xact_lock({lock})
"""
# A transaction that stays open holds a lock also through a pooler, where a session has no server of its own.
_HOLD = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""
_TRY = """
SELECT pg_try_advisory_xact_lock(hashtextextended(concat(current_schema(), ' ', %s::text), 0)) AS is_taken
"""
_IS_KEPT = "SELECT 1 FROM pg_trigger WHERE tgname = %s AND tgrelid = %s::regclass"
_APPEND_ONLY = """
CREATE OR REPLACE FUNCTION esteira_append_only() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
    RAISE integrity_constraint_violation USING MESSAGE = format(
        'a row of %s is never %s', TG_TABLE_NAME, CASE TG_OP WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END);
END $body$;
CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION esteira_append_only();
CREATE TRIGGER {table}_remain BEFORE TRUNCATE ON {table} EXECUTE FUNCTION esteira_append_only()
"""
_UNWRITABLE = (
    psycopg.errors.DiskFull,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.ReadOnlySqlTransaction,
)

_Connection = psycopg.Connection[dict[str, Any]]
_Found = TypeVar("_Found")


class PostgresDatabase:
    """One database of a server: a connection per thread and URL, made again when the server was away.

    A schema of its own is chosen in the URL: `?options=-csearch_path%3DNAME`.
    Raises: BadInput (no URL of a server), ServiceUnreachable, StorageUnwritable.
    """

    def __init__(self, url: str, schema: str = "") -> None:
        self._url = url
        self.address, self._secret = _address(url)
        self._local = threading.local()
        self.ensure(_CHANGES + schema)

    def ensure(self, schema: str) -> None:
        """See `SqlDatabase.ensure`."""
        with self._transaction() as connection:  # two that create the same at once would refuse each other
            connection.execute(schema)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """See `SqlDatabase.rows`."""

        def act(connection: _Connection) -> list[dict[str, Any]]:
            return connection.execute(_portable(sql), values).fetchall()

        with self._translated():
            if (writing := getattr(self._local, "writing", None)) is not None:
                return act(writing)
            with self._begun(act) as (_, found):
                return found

    @contextmanager
    def transaction(self) -> Iterator[_Writer]:
        """See `SqlDatabase.transaction`."""
        with self._transaction() as connection:
            yield _Writer(connection)

    def append_only(self, table: str) -> None:
        """See `SqlDatabase.append_only`."""
        with self._transaction() as connection:
            if connection.execute(_IS_KEPT, (f"{table}_stay", table)).fetchone() is None:
                connection.execute(_APPEND_ONLY.format(table=table))

    def changes(self) -> int:
        """See `SqlDatabase.changes`: counts what was committed through this class, in this schema.

        Who writes with another program adds one to the number in `esteira_changes`.
        """
        return int(self.rows("SELECT number FROM esteira_changes")[0]["number"])

    @contextmanager
    def exclusive(self, name: str, patience_s: float | None = None) -> Iterator[None]:
        """See `SqlDatabase.exclusive`: held by a connection of its own, within this schema."""
        with ExitStack() as held:
            with self._translated():
                connection, _ = held.enter_context(self._begun(_hold))
                held.callback(_undo, connection)
                self._take(connection, name, patience_s)
            yield

    def _take(self, connection: _Connection, name: str, patience_s: float | None) -> None:
        until = math.inf if patience_s is None else time.monotonic() + patience_s
        while not connection.execute(_TRY, (name,)).fetchall()[0]["is_taken"]:
            if time.monotonic() >= until:
                raise StillLocked(f"{self.address} ({name})", patience_s or 0.0)
            time.sleep(_LOOK_S)

    @contextmanager
    def _transaction(self) -> Iterator[_Connection]:
        with self._translated(), self._begun(_begin) as (connection, _):
            self._local.writing = connection  # what this thread reads meanwhile, it reads in here
            try:
                yield connection
                connection.execute(_COMMIT)
            except BaseException:
                _undo(connection)
                raise
            finally:
                self._local.writing = None

    @contextmanager
    def _begun(self, act: Callable[[_Connection], _Found]) -> Iterator[tuple[_Connection, _Found]]:
        """A connection for the block, with what a first statement gave; a new one if the old one was lost."""
        idle = self._idle().connections
        connection = idle.pop() if idle else self._connect()
        try:
            try:
                found = act(connection)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                connection = self._connect()
                found = act(connection)
            yield connection, found
        finally:
            if connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE:
                idle.append(connection)
            else:
                connection.close()

    def _idle(self) -> _Idle:
        """The connections of this thread that wait for work, shared by all who opened the same URL in it."""
        known: _Idle | None = getattr(self._local, "idle", None)
        if known is None:
            known = self._local.idle = _threads.idle.setdefault(self._url, _Idle())
        return known

    def _connect(self) -> _Connection:
        idle, interval, count = _SILENT_S
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=_PATIENCE,
            prepare_threshold=None,  # a pooler between us and the server may change servers
            row_factory=dict_row,
            keepalives_idle=idle,
            keepalives_interval=interval,
            keepalives_count=count,
        )
        settings = (
            f"tcp_keepalives_idle = {idle}",
            f"tcp_keepalives_interval = {interval}",
            f"tcp_keepalives_count = {count}",
        )
        connection.execute("; ".join(f"SET {each}" for each in settings))  # the server's side
        return connection

    def close(self) -> None:
        """See `SqlDatabase.close`."""
        idle = self._idle().connections
        while idle:
            idle.pop().close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _UNWRITABLE as refused:
            raise StorageUnwritable(self.address, self._said(refused)) from refused
        except (psycopg.IntegrityError, psycopg.DataError) as broken:
            raise EsteiraError(f"{self.address} refused a write: {self._said(broken)}") from broken
        except (psycopg.OperationalError, psycopg.InterfaceError) as down:
            # What libpq says may repeat the URL, so its error is not shown beside ours.
            raise ServiceUnreachable("PostgreSQL", self.address, self._said(down)) from None
        except psycopg.DatabaseError as broken:
            raise CorruptArtifact(self.address, "the tables of esteira", self._said(broken)) from broken

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

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]], /) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_portable(sql), rows)


class _Idle:
    """Connections of one thread to one URL that nobody uses now; gone with the last who opened the URL."""

    def __init__(self) -> None:
        self.connections: list[_Connection] = []


class _Threads(threading.local):
    def __init__(self) -> None:
        self.idle: WeakValueDictionary[str, _Idle] = WeakValueDictionary()


_threads = _Threads()


def _begin(connection: _Connection) -> None:
    try:
        connection.execute(_BEGIN.format(patience_ms=BUSY_MS, lock=_WRITER))
    except psycopg.Error:
        _undo(connection)
        raise


def _hold(connection: _Connection) -> None:
    connection.execute(_HOLD)


def _undo(connection: _Connection) -> None:
    with suppress(psycopg.Error):  # the server may be gone, which undoes it too
        connection.execute("ROLLBACK")


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
