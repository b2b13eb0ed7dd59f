"""PostgreSQL as the database of journals and ledgers, on a real server."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from tests.base.databases.postgres_server import PostgresServer
from tests.contracts.database import SCHEMA, DatabaseContract, put, steps

from esteira.base.databases.postgresql import PostgresDatabase
from esteira.base.errors import BadInput, ServiceUnreachable, StorageUnwritable

if TYPE_CHECKING:
    from collections.abc import Iterator
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
        PostgresDatabase(self.server.url, f"CREATE SCHEMA IF NOT EXISTS {name}").close()
        return PostgresDatabase(f"{self.server.url}?options=-csearch_path%3D{name}", schema)

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
