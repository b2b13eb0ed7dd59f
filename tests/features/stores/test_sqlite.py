"""SQLite as an online store."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from tests.contracts.shared_online_store import (
    NUMBERS,
    SharedOnlineStoreContract,
    counted,
    write_on_a_full_disk,
)

from esteira.base.errors import CorruptArtifact, StorageUnwritable
from esteira.features.stores import sqlite
from esteira.features.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


class TestSqliteStore(SharedOnlineStoreContract):
    def url(self, folder: Path) -> str:
        return f"sqlite:{folder / 'online.db'}"


def test_a_reader_waits_for_no_writer(tmp_path: Path) -> None:
    store = SqliteStore(f"sqlite:{tmp_path / 'online.db'}")
    store.write(NUMBERS, counted(1, 2))
    writer = sqlite3.connect(tmp_path / "online.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM online_rows")
    found = store.read("numbers", ("1",))
    assert found is not None
    assert found.event_us == 1
    writer.execute("ROLLBACK")
    writer.close()
    store.close()


def test_more_keys_than_a_statement_holds_are_read_as_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_AT_ONCE", 4)
    store, other = (SqliteStore(f"sqlite:{tmp_path / 'online.db'}") for _ in range(2))
    store.write(NUMBERS, counted(1, 11))
    select, parts = store._select, []

    def select_slowly(keys: list[bytes]) -> list[object]:
        parts.append(len(keys))
        other.write(NUMBERS, counted(1 + len(parts), 11))
        return select(keys)

    monkeypatch.setattr(store, "_select", select_slowly)
    found = store.read_many([("numbers", (str(key),)) for key in range(11)])
    assert parts == [4, 4, 3]
    assert len({row and row.event_us for row in found}) == 1
    for each in (store, other):
        each.close()


def test_a_full_disk_is_one_clear_error_and_leaves_the_store_whole(tmp_path: Path) -> None:
    assert write_on_a_full_disk(f"sqlite:{tmp_path / 'online.db'}") == "1 1\n300"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_bytes(b"flights" * 5000)
    with pytest.raises(CorruptArtifact, match="a SQLite database"):
        SqliteStore(f"sqlite:{tmp_path / 'online.db'}")


def test_a_place_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "online.db", tmp_path):
        with pytest.raises(StorageUnwritable, match="choose another folder"):
            SqliteStore(f"sqlite:{place}")
