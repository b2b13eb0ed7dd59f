from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.contracts.database import SCHEMA as STEPS
from tests.contracts.database import DatabaseContract

from esteira.base.errors import CorruptArtifact, EsteiraError, StorageUnwritable
from esteira.base.sqlite import Database

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "CREATE TABLE IF NOT EXISTS step (name TEXT PRIMARY KEY, at INTEGER NOT NULL)"

COMMIT_AND_HANG = """
import sys, time
from esteira.base.sqlite import Database
database = Database(sys.argv[1], sys.argv[2])
with database.transaction() as writer:
    writer.execute("INSERT INTO step VALUES ('committed', 1)")
with database.transaction() as writer:
    writer.execute("INSERT INTO step VALUES ('never', 2)")
    print("ready", flush=True)
    time.sleep(60)
"""

COUNT_UP = """
import sys
from esteira.base.sqlite import Database
database = Database(sys.argv[1], sys.argv[2])
for turn in range(100):
    with database.transaction() as writer:
        writer.execute("UPDATE step SET at = at + 1")
"""


class TestDatabase(DatabaseContract):
    def open(self, folder: Path, schema: str = STEPS) -> Database:
        return Database(f"sqlite:{folder}/steps.db", schema)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:{tmp_path}/deep/journal.db", SCHEMA)


def _names(database: Database) -> list[str]:
    return [row["name"] for row in database.rows("SELECT name FROM step ORDER BY at")]


def _insert(database: Database, name: str, at: int | None = 1) -> None:
    with database.transaction() as writer:
        writer.execute("INSERT INTO step VALUES (?, ?)", (name, at))


def test_what_was_committed_is_there_for_who_opens_it_next(database: Database) -> None:
    _insert(database, "flights")
    again = Database(f"sqlite:{database.path}", SCHEMA)
    assert _names(again) == ["flights"]


def test_a_block_that_fails_changes_nothing(database: Database) -> None:
    def half() -> None:
        with database.transaction() as writer:
            writer.execute("INSERT INTO step VALUES ('half', 1)")
            raise KeyError("mine")

    with pytest.raises(KeyError):
        half()
    assert _names(database) == []
    _insert(database, "next")  # and the connection is still of use
    assert _names(database) == ["next"]


def test_kill_9_in_a_transaction_keeps_exactly_what_was_committed(database: Database) -> None:
    command = [sys.executable, "-c", COMMIT_AND_HANG, f"sqlite:{database.path}", SCHEMA]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        writer.send_signal(signal.SIGKILL)
    assert _names(database) == ["committed"]
    _insert(database, "next", 3)
    assert _names(database) == ["committed", "next"]


def test_two_processes_and_two_threads_lose_no_update(database: Database) -> None:
    _insert(database, "counter", 0)
    command = [sys.executable, "-c", COUNT_UP, f"sqlite:{database.path}", SCHEMA]

    def count(_: int) -> None:
        for _turn in range(50):
            with database.transaction() as writer:
                writer.execute("UPDATE step SET at = at + 1")

    with (
        subprocess.Popen(command) as one,
        subprocess.Popen(command) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        list(threads.map(count, range(2)))
    assert (one.returncode, other.returncode) == (0, 0)
    assert database.rows("SELECT at FROM step")[0]["at"] == 300


def test_writes_are_durable_and_readers_do_not_wait(database: Database) -> None:
    assert database.rows("PRAGMA journal_mode")[0][0] == "wal"
    assert database.rows("PRAGMA synchronous")[0][0] == 2  # FULL: a commit is on disk when it returns
    other = Database(f"sqlite:{database.path}", SCHEMA)
    with database.transaction() as writer:
        writer.execute("INSERT INTO step VALUES ('open', 1)")
        assert _names(other) == []


def test_a_commit_of_another_connection_is_noticed(database: Database) -> None:
    other = Database(f"sqlite:{database.path}", SCHEMA)
    before = database.changes()
    assert database.changes() == before
    _insert(other, "flights")
    assert database.changes() != before


def test_a_second_schema_joins_the_first_in_one_file(database: Database) -> None:
    _insert(database, "flights")
    for _ in range(2):
        database.ensure("CREATE TABLE IF NOT EXISTS run (id TEXT)")
    assert database.rows("SELECT * FROM run") == []
    assert _names(database) == ["flights"]


def test_a_closed_database_opens_itself_again(database: Database) -> None:
    _insert(database, "flights")
    database.close()
    database.close()
    assert _names(database) == ["flights"]


def test_a_broken_rule_of_the_table_is_our_error_and_changes_nothing(database: Database) -> None:
    _insert(database, "flights")
    with pytest.raises(EsteiraError, match=r"journal\.db refused a write: UNIQUE"):
        _insert(database, "flights")
    with pytest.raises(EsteiraError, match="NOT NULL"):
        _insert(database, "weather", None)
    assert _names(database) == ["flights"]


def test_a_full_disk_is_one_clear_error_and_keeps_what_was_there(database: Database) -> None:
    _insert(database, "flights")
    pages = database.rows("PRAGMA page_count")[0][0]
    database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageUnwritable, match=r"disk is full.*free space"):
        _insert(database, "x" * 100_000)
    assert _names(database) == ["flights"]
    database.rows("PRAGMA max_page_count = 1000000")  # space was freed
    _insert(database, "weather", 2)
    assert _names(database) == ["flights", "weather"]


def test_a_read_only_database_is_one_clear_error(database: Database) -> None:
    database.rows("PRAGMA query_only = 1")
    with pytest.raises(StorageUnwritable, match="readonly"):
        _insert(database, "flights")


def test_a_place_that_is_no_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnwritable, match="choose another folder"):
        Database(f"sqlite:{tmp_path}/file/journal.db", SCHEMA)


def test_a_file_that_is_no_database_is_corrupt_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"these are not the pages you are looking for" * 100)
    with pytest.raises(CorruptArtifact, match="a SQLite database") as broken:
        Database(f"sqlite:{path}", SCHEMA)
    assert isinstance(broken.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes().startswith(b"these are not")
