from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.contracts.tables import flights
from tests.data.folders import data_files

from esteira.base.errors import StorageUnwritable
from esteira.data.tables.port import Vacuumed
from esteira.data.tables.retention import remove

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.data.tables.delta import DeltaTables

LOST = "part-0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f.parquet"


def left_behind(folder: Path, name: str, hours: float) -> Path:
    """A file that no commit names, of so many hours ago."""
    path = folder / name
    path.write_bytes(b"some rows")
    written = path.stat().st_mtime - 3600 * hours
    os.utime(path, (written, written))
    return path


@pytest.mark.parametrize(
    ("hours", "older_than", "deleted"),
    [
        (23, timedelta(0), 0),  # its writer may yet commit it
        (25, timedelta(0), 1),
        (25, timedelta(hours=30), 0),
        (31, timedelta(hours=30), 1),
        (24 * 7 + 1, timedelta(days=7), 1),
    ],
)
def test_a_file_that_no_commit_names_goes_when_it_is_old_and_none_can_be_making_it(
    tables: DeltaTables, tmp_path: Path, hours: float, older_than: timedelta, deleted: int
) -> None:
    tables.append("flights", flights(1))
    path = left_behind(tmp_path / "flights", LOST, hours)
    assert tables.vacuum("flights", older_than=older_than) == Vacuumed(deleted, 9 * deleted)
    assert path.exists() == (not deleted)
    assert tables.check("flights") == []


def test_files_that_are_not_of_this_store_stay(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("flights", flights(1))
    kept = [left_behind(tmp_path / "flights", name, 9999) for name in ("notes.txt", "part-1.parquet")]
    assert tables.vacuum("flights", older_than=timedelta(0)).files == 0
    assert all(path.exists() for path in kept)


def test_what_the_newest_version_needs_stays_however_old(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("flights", flights(1))
    for path in data_files(tmp_path / "flights"):
        os.utime(path, (0, 0))
    assert tables.vacuum("flights", older_than=timedelta(0)).files == 0
    assert tables.read("flights").num_rows == 1


def test_what_another_vacuum_has_deleted_is_not_counted(tmp_path: Path) -> None:
    there = left_behind(tmp_path, LOST, 0)
    assert remove(iter([tmp_path / "gone", there])) == Vacuumed(1, 9)


def test_what_cannot_be_deleted_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageUnwritable, match="folder"):
        remove(iter([tmp_path / "folder"]))
