"""What every SqlDatabase must do, with the SQL that all of them understand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import EsteiraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.base.databases.port import SqlDatabase

SCHEMA = """
CREATE TABLE IF NOT EXISTS step (name TEXT PRIMARY KEY, at BIGINT NOT NULL, note TEXT);
CREATE TABLE IF NOT EXISTS run (id TEXT);
"""
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
