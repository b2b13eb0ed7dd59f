"""PostgreSQL as the database of journals and ledgers, on a real server."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from tests.base.databases.postgres_server import PostgresServer
from tests.contracts.database import SCHEMA, DatabaseContract, put, steps

from esteira.base.databases.postgresql import PostgresDatabase
from esteira.base.errors import (
    BadInput,
    CorruptArtifact,
    EsteiraError,
    ServiceUnreachable,
    StorageUnwritable,
)
from esteira.base.files import StillLocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMIT_AND_HANG = """
import sys, time
from esteira.base.databases.postgresql import PostgresDatabase
database = PostgresDatabase(sys.argv[1], "CREATE TABLE IF NOT EXISTS held (at BIGINT)")
with database.transaction() as writer:
    writer.execute("INSERT INTO held VALUES (?)", (1,))
with database.transaction() as writer:
    writer.execute("INSERT INTO held VALUES (?)", (2,))
    print("ready", flush=True)
    time.sleep(60)
"""
HOLD_AND_HANG = """
import sys, time
from esteira.base.databases import open_database
with open_database(sys.argv[1]).exclusive("routes"):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.mark.slow
class TestPostgresDatabase(DatabaseContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: PostgresServer) -> None:
        self.server = server

    def open(self, folder: Path, schema: str = SCHEMA) -> PostgresDatabase:
        name = "s" + sha256(str(folder).encode()).hexdigest()[:16]
        return PostgresDatabase(self.server.schema(name), schema)

    def test_a_killed_server_is_our_error_and_is_used_again_when_it_is_back(self, tmp_path: Path) -> None:
        database = self.open(tmp_path)
        put(database, "before", 1)
        self.server.kill()
        for _ in range(2):
            with pytest.raises(ServiceUnreachable, match=f"PostgreSQL at 127.0.0.1:{self.server.port}/"):
                put(database, "meanwhile", 2)
            with pytest.raises(ServiceUnreachable):
                steps(database)
        self.server.start()
        assert steps(database) == {"before": 1}
        put(database, "after", 3)
        self.server.kill()  # between two uses: nobody notices
        self.server.start()
        put(database, "later", 4)
        assert steps(database) == {"after": 3, "before": 1, "later": 4}
        database.close()

    def test_a_server_killed_inside_a_transaction_has_undone_it(self, tmp_path: Path) -> None:
        database = self.open(tmp_path)

        def half() -> None:
            with database.transaction() as writer:
                writer.execute("INSERT INTO step (name, at) VALUES (?, ?)", ("half", 1))
                self.server.kill()

        with pytest.raises(ServiceUnreachable):
            half()
        self.server.start()
        assert steps(database) == {}
        database.close()

    def test_a_killed_writer_lets_go_of_its_turn_and_its_half(self) -> None:
        command = [sys.executable, "-c", COMMIT_AND_HANG, self.server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            writer.kill()
        database = PostgresDatabase(self.server.url)
        with database.transaction() as mine:
            mine.execute("INSERT INTO held VALUES (?)", (3,))
        assert [row["at"] for row in database.rows("SELECT at FROM held ORDER BY at")] == [1, 3]
        database.close()

    def test_who_opens_the_same_in_one_thread_shares_its_connection(self, tmp_path: Path) -> None:
        opened = [self.open(tmp_path) for _ in range(5)]
        sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'shared'"
        named = [PostgresDatabase(f"{opened[0]._url}&application_name=shared") for _ in range(5)]
        with named[0].transaction() as writer:
            writer.execute("INSERT INTO step (name, at) VALUES (?, ?)", ("a", 1))
            assert len(opened[0].rows(sql)) == 1
            assert steps(named[1]) == {}  # which takes a second one meanwhile
            assert len(opened[0].rows(sql)) == 2
        for each in named:
            put(each, "b", 1)
        assert len(opened[0].rows(sql)) == 2
        named[0].close()
        assert self._soon(lambda: opened[0].rows(sql) == [])
        put(named[1], "c", 1)  # and the others go on
        del each, named, writer
        assert self._soon(lambda: opened[0].rows(sql) == [])
        opened[0].close()

    @staticmethod
    def _soon(holds: Callable[[], bool]) -> bool:
        until = time.monotonic() + 10
        while not holds() and time.monotonic() < until:
            time.sleep(0.01)
        return holds()

    def test_a_killed_holder_lets_go_of_its_lock(self, tmp_path: Path) -> None:
        database = self.open(tmp_path)
        command = [sys.executable, "-c", HOLD_AND_HANG, database._url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"ready\n"
            with pytest.raises(StillLocked):
                database.exclusive("routes", 0.0).__enter__()
            holder.kill()
        with database.exclusive("routes", 10.0):
            put(database, "after", 1)
        database.close()

    def test_a_lock_is_held_although_the_server_ends_idle_transactions(self, tmp_path: Path) -> None:
        database = self.open(tmp_path)
        impatient = PostgresDatabase(f"{database._url}%20-cidle_in_transaction_session_timeout%3D50")
        with impatient.exclusive("routes"):
            time.sleep(0.3)
            with pytest.raises(StillLocked):
                database.exclusive("routes", 0.0).__enter__()
        database.close()
        impatient.close()

    def test_schemas_of_one_database_have_their_own_locks_and_numbers(self, tmp_path: Path) -> None:
        one, other = self.open(tmp_path / "one"), self.open(tmp_path / "other")
        before = one.changes()
        with one.exclusive("routes", 0.0), other.exclusive("routes", 0.0):
            put(other, "flights", 1)
        assert one.changes() == before
        one.close()
        other.close()

    def test_a_writer_sees_the_newest_although_the_server_prefers_old_snapshots(self, tmp_path: Path) -> None:
        database = self.open(tmp_path)
        strict = f"{database._url}%20-cdefault_transaction_isolation%3Dserializable"
        one, other = PostgresDatabase(strict), PostgresDatabase(strict)
        begun = threading.Event()

        def count() -> None:
            begun.set()
            with other.transaction() as writer:
                writer.execute("UPDATE step SET at = at + 1")
            other.close()

        put(one, "counter", 0)
        with ThreadPoolExecutor(1) as threads:
            with one.transaction() as writer:
                counted = threads.submit(count)
                assert begun.wait(30)
                time.sleep(0.1)
                writer.execute("UPDATE step SET at = at + 1")
            counted.result()
        assert steps(database) == {"counter": 2}
        for each in (database, one):
            each.close()

    def test_what_a_server_cannot_keep_or_does_not_have_is_our_error(self, tmp_path: Path) -> None:
        database = self.open(tmp_path)
        with pytest.raises(EsteiraError, match=r"refused a write: .*NUL"):
            put(database, "nul \x00", 1)
        with pytest.raises(CorruptArtifact, match="no_such_table"):
            database.rows("SELECT * FROM no_such_table")
        put(database, "next", 1)
        assert steps(database) == {"next": 1}
        database.close()

    def test_a_table_that_is_only_added_to_cannot_be_emptied(self, tmp_path: Path) -> None:
        database = self.open(tmp_path)
        put(database, "flights", 1)
        database.append_only("step")
        with pytest.raises(EsteiraError, match="never deleted"):
            self._write(database, "TRUNCATE step")
        assert steps(database) == {"flights": 1}
        database.close()

    def test_a_database_that_only_lets_read_is_unwritable(self, tmp_path: Path) -> None:
        database = self.open(tmp_path)
        database.close()
        name = "s" + sha256(str(tmp_path).encode()).hexdigest()[:16]
        options = f"-csearch_path%3D{name}%20-cdefault_transaction_read_only%3Don"
        with pytest.raises(StorageUnwritable, match="read-only"):
            PostgresDatabase(f"{self.server.url}?options={options}", "CREATE TABLE no (id TEXT)")

    def test_a_writer_that_waits_too_long_for_its_turn_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("esteira.base.databases.postgresql.BUSY_MS", 50)
        one, other = self.open(tmp_path), self.open(tmp_path)
        with one.transaction(), pytest.raises(StorageUnwritable, match="lock timeout"):
            put(other, "late", 1)
        put(other, "free", 1)
        assert steps(one) == {"free": 1}
        one.close()
        other.close()


@pytest.mark.parametrize("password", ["s3cret", "p%40ss"])
def test_a_server_that_is_not_there_is_named_without_the_password(password: str) -> None:
    with pytest.raises(ServiceUnreachable, match="localhost:1/ledger") as down:
        PostgresDatabase(f"postgresql://ana:{password}@localhost:1/ledger")
    assert down.value.address == "localhost:1/ledger"
    assert password not in str(down.value)
    assert "p@ss" not in str(down.value)


@pytest.mark.parametrize("url", ["postgresql://ana:s3cret@host:port/x", "postgresql://ana:s3cret@[::1/x"])
def test_a_url_that_is_none_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(BadInput, match="must be like postgresql://") as wrong:
        PostgresDatabase(url)
    assert "s3cret" not in str(wrong.value)
