"""What every SqlDatabase must do, with the SQL that all of them understand."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import EsteiraError
from esteira.base.files import StillLocked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.base.databases.port import SqlDatabase

SCHEMA = """
CREATE TABLE IF NOT EXISTS step (name TEXT PRIMARY KEY, at BIGINT NOT NULL, note TEXT);
CREATE TABLE IF NOT EXISTS run (id TEXT);
CREATE TABLE IF NOT EXISTS value (share DOUBLE PRECISION, digest BYTEA, state TEXT);
"""


class State(StrEnum):
    ROLLED_BACK = "rolled back"


PUT = "INSERT INTO step (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at"


def put(database: SqlDatabase, name: str, at: int) -> None:
    with database.transaction() as writer:
        writer.execute(PUT, (name, at))


def steps(database: SqlDatabase) -> dict[str, int]:
    return {row["name"]: row["at"] for row in database.rows("SELECT * FROM step ORDER BY name")}


class DatabaseContract:
    """Subclass it and give `open`, which opens the same database again when it is given the same folder."""

    def open(self, folder: Path, schema: str = SCHEMA) -> SqlDatabase:
        raise NotImplementedError

    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[SqlDatabase]:
        database = self.open(tmp_path)
        yield database
        database.close()

    def test_what_was_committed_is_there_for_who_opens_it_next(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        put(database, "flights", 1)
        again = self.open(tmp_path)
        assert steps(again) == {"flights": 1}
        again.close()

    def test_a_value_comes_back_as_it_was_given(self, database: SqlDatabase) -> None:
        odd = "é' \" % ? \n %s"
        with database.transaction() as writer:
            writer.execute("INSERT INTO step (name, at, note) VALUES (?, ?, ?)", (odd, -(2**63), None))
        (row,) = database.rows("SELECT name, at, note FROM step WHERE name = ?", (odd,))
        assert (row["name"], row["at"], row["note"]) == (odd, -(2**63), None)

    def test_a_fraction_bytes_and_a_named_state_come_back_as_they_were_given(
        self, database: SqlDatabase
    ) -> None:
        given = (0.1 + 0.2, b"\x00\xff'", State.ROLLED_BACK)
        with database.transaction() as writer:
            writer.execute("INSERT INTO value VALUES (?, ?, ?)", given)
        sql = "SELECT * FROM value WHERE digest = ? AND state = ?"
        (row,) = database.rows(sql, (given[1], "rolled back"))
        assert (row["share"], row["digest"], row["state"]) == given

    def test_one_statement_is_done_for_many_rows_and_for_none(self, database: SqlDatabase) -> None:
        with database.transaction() as writer:
            writer.executemany(PUT, [("a", 1), ("b", 2), ("a", 3)])
            writer.executemany(PUT, [])
        assert steps(database) == {"a": 3, "b": 2}

    def test_a_statement_says_how_many_rows_it_touched(self, database: SqlDatabase) -> None:
        with database.transaction() as writer:
            writer.executemany(PUT, [("a", 1), ("b", 1)])
            sql = "UPDATE step SET at = 2 WHERE name = ?"
            assert [writer.execute(sql, (name,)).rowcount for name in ("a", "c")] == [1, 0]
            assert writer.execute("UPDATE step SET at = 3").rowcount == 2

    def test_numbers_that_grow_are_given_back(self, database: SqlDatabase) -> None:
        sql = (
            "INSERT INTO step (name, at) VALUES (?, (SELECT coalesce(max(at), 0) + 1 FROM step)) RETURNING at"
        )
        for number in (1, 2):
            with database.transaction() as writer:
                row = writer.execute(sql, (f"step {number}",)).fetchone()
                assert row is not None
                assert row["at"] == number

    def test_a_per_cent_sign_is_itself(self, database: SqlDatabase) -> None:
        put(database, "flights", 7)
        rows = database.rows("SELECT at % 4 AS rest FROM step WHERE name LIKE 'fl%'")
        assert [row["rest"] for row in rows] == [3]

    def test_a_row_that_is_there_is_replaced(self, database: SqlDatabase) -> None:
        put(database, "flights", 1)
        put(database, "flights", 2)
        assert steps(database) == {"flights": 2}

    def test_a_block_that_fails_changes_nothing_and_the_next_one_works(self, database: SqlDatabase) -> None:
        def half() -> None:
            with database.transaction() as writer:
                writer.execute(PUT, ("half", 1))
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            half()
        assert steps(database) == {}
        put(database, "next", 1)
        assert steps(database) == {"next": 1}

    def test_a_writer_sees_what_it_has_written_and_readers_do_not_yet(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        other = self.open(tmp_path)
        with database.transaction() as writer:
            writer.execute(PUT, ("open", 1))
            found = writer.execute("SELECT at FROM step WHERE name = ?", ("open",)).fetchone()
            assert found is not None
            assert found["at"] == 1
            assert writer.execute("SELECT at FROM step WHERE name = ?", ("no",)).fetchone() is None
            assert steps(other) == {}
        assert steps(other) == {"open": 1}
        other.close()

    def test_who_writes_reads_its_own_writes(self, database: SqlDatabase) -> None:
        with database.transaction() as writer:
            writer.execute(PUT, ("open", 1))
            assert steps(database) == {"open": 1}
        assert steps(database) == {"open": 1}

    def test_writers_take_turns_and_lose_no_update(self, database: SqlDatabase) -> None:
        put(database, "counter", 0)

        def count(_: int) -> None:
            for _turn in range(25):
                with database.transaction() as writer:
                    (row,) = writer.execute("SELECT at FROM step WHERE name = ?", ("counter",)).fetchall()
                    writer.execute(PUT, ("counter", row["at"] + 1))
            database.close()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(count, range(4)))
        assert steps(database) == {"counter": 100}

    def test_a_broken_rule_of_a_table_is_our_error_and_changes_nothing(self, database: SqlDatabase) -> None:
        put(database, "flights", 1)
        with pytest.raises(EsteiraError, match="refused a write"), database.transaction() as writer:
            writer.execute("INSERT INTO step (name, at) VALUES (?, ?)", ("flights", 2))
        assert steps(database) == {"flights": 1}

    def test_a_schema_may_come_twice_and_from_several_at_once(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        with ThreadPoolExecutor(4) as threads:
            for found in threads.map(lambda _: self.open(tmp_path), range(8)):
                found.close()
        database.ensure("CREATE TABLE IF NOT EXISTS late (id TEXT)")
        assert list(database.rows("SELECT * FROM late")) == []

    def test_a_closed_database_opens_itself_again(self, database: SqlDatabase) -> None:
        put(database, "flights", 1)
        database.close()
        database.close()
        assert steps(database) == {"flights": 1}

    def test_a_commit_of_another_connection_changes_the_number(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        other = self.open(tmp_path)
        for turn in range(20):
            before = database.changes()
            assert database.changes() == before
            put(other, "flights", turn)
            assert database.changes() != before
        other.close()

    def test_what_commits_nothing_does_not_change_the_number(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        other = self.open(tmp_path)
        before = database.changes()
        with other.transaction() as writer:
            writer.execute("SELECT * FROM step").fetchall()
            writer.execute("UPDATE step SET at = 1 WHERE name = 'nobody'")

        def half() -> None:
            with other.transaction() as writer:
                writer.execute(PUT, ("half", 1))
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            half()
        other.ensure(SCHEMA)
        self.open(tmp_path).close()
        assert database.changes() == before
        other.close()

    def test_a_reader_that_looks_at_the_number_first_misses_no_commit(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        last = 300
        put(database, "counter", 0)

        def write() -> None:
            other = self.open(tmp_path)
            for at in range(1, last + 1):
                put(other, "counter", at)
            other.close()

        seen, stale, found = -1, 0, 0
        with ThreadPoolExecutor(1) as threads:
            written = threads.submit(write)
            while not written.done() or stale < 2:
                stale = stale + 1 if written.done() else 0
                if (number := database.changes()) != seen:
                    seen, found = number, steps(database)["counter"]
            written.result()
        assert found == last

    def test_rows_of_a_table_that_is_only_added_to_stay_as_they_are(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        put(database, "flights", 1)
        for _ in range(2):
            database.append_only("step")
        put(database, "weather", 2)
        for sql, said in (
            ("UPDATE step SET at = 5", "a row of step is never changed"),
            ("DELETE FROM step", "a row of step is never deleted"),
        ):
            with pytest.raises(EsteiraError, match=f"refused a write: .*{said}"):
                self._write(database, sql)
        other = self.open(tmp_path)
        assert steps(other) == {"flights": 1, "weather": 2}
        before = database.changes()
        other.append_only("step")
        assert database.changes() == before
        other.close()

    @staticmethod
    def _write(database: SqlDatabase, sql: str) -> None:
        with database.transaction() as writer:
            writer.execute(sql)

    def test_a_lock_has_one_holder_among_threads_and_connections(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        inside, most = 0, []

        def enter(_: int) -> None:
            nonlocal inside
            mine = self.open(tmp_path)
            for _turn in range(3):
                with mine.exclusive("routes"):
                    inside += 1
                    most.append(inside)
                    time.sleep(0.002)
                    inside -= 1
            mine.close()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(enter, range(4)))
        assert most == [1] * 12

    def test_who_waits_too_long_for_a_lock_is_told(self, database: SqlDatabase, tmp_path: Path) -> None:
        other = self.open(tmp_path)
        with database.exclusive("routes"):
            for held in (database, other):
                begun = time.monotonic()
                with pytest.raises(StillLocked, match=r"routes.* is still locked after 0\.1 s") as told:
                    held.exclusive("routes", 0.1).__enter__()
                assert told.value.seconds == 0.1
                assert 0.1 <= time.monotonic() - begun < 5
            with other.exclusive("promotions", 0.0):  # another lock
                put(other, "flights", 1)  # which no transaction waits for
        with other.exclusive("routes", 0.0):
            pass
        other.close()

    def test_a_lock_whose_block_failed_is_free_at_once(self, database: SqlDatabase) -> None:
        for _ in range(3):
            with pytest.raises(KeyError, match="mine"), database.exclusive("routes", 0.0):
                raise KeyError("mine")

    def test_who_waits_for_a_lock_gets_it_when_it_is_free(
        self, database: SqlDatabase, tmp_path: Path
    ) -> None:
        waits, order = threading.Event(), []

        def wait() -> None:
            other = self.open(tmp_path)
            waits.set()
            with other.exclusive("routes", 30.0):
                order.append("second")
            other.close()

        with ThreadPoolExecutor(1) as threads:
            with database.exclusive("routes"):
                waiting = threads.submit(wait)
                assert waits.wait(30)
                time.sleep(0.1)
                order.append("first")
            waiting.result()
        assert order == ["first", "second"]
