"""LMDB as an online store: across processes, kills, full maps and disks."""

from __future__ import annotations

import struct
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import lmdb
import pyarrow as pa
import pytest
from tests.contracts.shared_online_store import (
    NUMBERS,
    SharedOnlineStoreContract,
    counted,
    run,
    write_on_a_full_disk,
)

from esteira.base.errors import CorruptArtifact, StorageUnwritable
from esteira.features.stores.lmdb import LmdbStore
from esteira.features.stores.port import Layout, StoredRow
from esteira.features.times import UTC_MICROS
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = [("numbers", (str(key),)) for key in range(300)]


class TestLmdbStore(SharedOnlineStoreContract):
    def url(self, folder: Path) -> str:
        return f"lmdb:{folder / 'online'}"


def test_a_store_of_the_time_before_texts_is_read_and_written_on(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path)) as old, old.begin(write=True) as transaction:
        transaction.put(b"\x02v", b'{"keys":["k"],"features":["f","g"]}')
        key = b"\x00\x01\x00\x00\x00v\x01\x00\x00\x00x"
        transaction.put(key, struct.pack("<qqqB2d", 5, 6, 0, 0b10, 0.0, 2.5))
    store = LmdbStore(f"lmdb:{tmp_path}")
    assert store.read("v", ("x",)) == StoredRow(5, 6, (None, 2.5))
    assert store.views() == {"v": Layout(("k",), ("f", "g"), ("number", "number"), None)}
    view = FeatureView("v", ("k",), ("f", "g"), "t", ttl=timedelta(seconds=1))
    times = pa.array([7], pa.int64()).cast(UTC_MICROS)
    rows = pa.table({"k": ["x"], "event_ts": times, "f": [1.0], "g": [2.0]})
    assert store.write(view, rows) == 1
    assert store.read("v", ("x",)) == StoredRow(7, 7, (1.0, 2.0))
    assert store.views() == {"v": Layout(("k",), ("f", "g"), ttl_us=1_000_000)}
    store.close()


def test_stores_of_one_process_share_the_folder_until_the_last_closes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    reader = LmdbStore(f"lmdb:{tmp_path / 'real'}", readonly=True)
    writer = LmdbStore(f"lmdb:{tmp_path / 'link'}")
    writer.write(NUMBERS, counted(1, 1))
    writer.close()
    assert reader.read("numbers", ("0",)) == StoredRow(1, 1, (1.0,))
    reader.close()
    with pytest.raises(StorageUnwritable):
        reader.read("numbers", ("0",))


def test_a_folder_that_was_deleted_and_made_again_is_another_store(tmp_path: Path) -> None:
    old = LmdbStore(f"lmdb:{tmp_path}")
    old.write(NUMBERS, counted(1, 1))
    for name in ("data.mdb", "lock.mdb"):
        (tmp_path / name).unlink()
    new = LmdbStore(f"lmdb:{tmp_path}")
    assert new.read("numbers", ("0",)) is None
    new.close()
    old.close()


def test_a_map_that_another_process_has_grown_is_adopted(tmp_path: Path) -> None:
    url = f"lmdb:{tmp_path}"
    store = LmdbStore(url, map_bytes=1 << 16)
    assert store.read_many(KEYS) == [None] * len(KEYS)
    code = """
        import sys
        from esteira.features.stores.lmdb import LmdbStore
        from tests.contracts.shared_online_store import NUMBERS, counted
        LmdbStore(sys.argv[1], map_bytes=1 << 16).write(NUMBERS, counted(1, 3000))
    """
    run(code, url)
    assert (tmp_path / "data.mdb").stat().st_size > 1 << 16
    assert {row and row.event_us for row in store.read_many(KEYS)} == {1}
    assert store.write(NUMBERS, counted(2, 3)) == 3
    store.close()


def test_the_map_grows_under_threads_that_read(tmp_path: Path) -> None:
    for attempt in range(20):  # each moves the map several times, at some moment of a read
        store = LmdbStore(f"lmdb:{tmp_path / str(attempt)}", map_bytes=1 << 15)
        store.write(NUMBERS, counted(1, 10))
        failures = read_while(store, lambda store=store: store.write(NUMBERS, counted(2, 3000)))
        assert failures == []
        assert store.read("numbers", ("2999",)) == StoredRow(2, 2, (2.0,))
        assert (tmp_path / str(attempt) / "data.mdb").stat().st_size > 1 << 16
        store.close()


def read_while(store: LmdbStore, act: Callable[[], object]) -> list[BaseException]:
    """What goes wrong in threads that read while `act` is done."""
    failures: list[BaseException] = []
    is_done = threading.Event()

    def read() -> None:
        try:
            while not is_done.is_set():
                assert store.read("numbers", ("3",)) is not None
        except BaseException as failure:  # noqa: BLE001 - a thread must not swallow its failure
            failures.append(failure)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    act()
    is_done.set()
    for reader in readers:
        reader.join()
    return failures


def test_a_full_disk_is_one_clear_error_and_leaves_the_store_whole(tmp_path: Path) -> None:
    assert write_on_a_full_disk(f"lmdb:{tmp_path}") == "1 1\n300"


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "online", tmp_path / "file", "/proc/online"):
        with pytest.raises(StorageUnwritable, match="choose another folder"):
            LmdbStore(f"lmdb:{place}")


def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    code = """
        import os, sys
        from esteira.base.errors import StorageUnwritable
        from esteira.features.stores.lmdb import LmdbStore
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            LmdbStore(sys.argv[1])
        except StorageUnwritable as refused:
            print(refused.reason)
    """
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o555)
    assert "ermission denied" in run(code, f"lmdb:{tmp_path / 'closed'}")


@pytest.mark.parametrize("cut", [0.3, 0.8])
def test_a_file_that_was_cut_short_is_refused_before_it_kills(tmp_path: Path, cut: float) -> None:
    store = LmdbStore(f"lmdb:{tmp_path}")
    store.write(NUMBERS, counted(1, 5000))
    store.close()
    with (tmp_path / "data.mdb").open("r+b") as file:
        file.truncate(int((tmp_path / "data.mdb").stat().st_size * cut))
    for _ in range(2):
        with pytest.raises(CorruptArtifact, match="online store"):
            LmdbStore(f"lmdb:{tmp_path}")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"flights" * 5000)
    with pytest.raises(CorruptArtifact, match="an LMDB environment"):
        LmdbStore(f"lmdb:{tmp_path}")
