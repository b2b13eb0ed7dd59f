"""LMDB as an online store: across processes, kills, full maps and disks."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.contracts.online_store import PLAIN, OnlineStoreContract, batch

from esteira.base.errors import CorruptArtifact, StorageUnwritable
from esteira.features.stores import open_store
from esteira.features.stores.lmdb import LmdbStore
from esteira.features.stores.port import StoredRow
from esteira.features.times import UTC_MICROS
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
COUNTER = FeatureView("counter", ("k",), ("f",), "t")
KEYS = [("counter", (str(key),)) for key in range(300)]

# Writes ever newer batches of 300 rows and says so after each.
WRITER = """
import sys, itertools
import pyarrow as pa
from esteira.features.stores.lmdb import LmdbStore
from esteira.features.times import UTC_MICROS
from esteira.features.views import FeatureView
store = LmdbStore(sys.argv[1], map_bytes=1 << 16)
view = FeatureView("counter", ("k",), ("f",), "t")
for at in itertools.count(int(sys.argv[2])):
    times = pa.array([at] * 300, pa.int64()).cast(UTC_MICROS)
    store.write(view, pa.table({"k": [str(key) for key in range(300)], "event_ts": times, "f": [at] * 300}))
    print(at, flush=True)
"""


def counted(at: int, keys: int = 300) -> pa.Table:
    times = pa.array([at] * keys, pa.int64()).cast(UTC_MICROS)
    return pa.table({"k": [str(key) for key in range(keys)], "event_ts": times, "f": [at] * keys})


def start_writer(url: str, first: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(first)], stdout=subprocess.PIPE, text=True
    )


def run(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class TestLmdbStore(OnlineStoreContract):
    def open(self, folder: Path, *, readonly: bool = False) -> LmdbStore:
        store = open_store(f"lmdb:{folder / 'online'}", readonly=readonly)
        assert isinstance(store, LmdbStore)
        return store


def test_rows_are_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    store = LmdbStore(f"lmdb:{tmp_path}")
    store.write(PLAIN, batch(("JFK", 6, 5, None, 1.0, None)))
    store.close()
    again = LmdbStore(f"lmdb:{tmp_path}", readonly=True)
    assert again.read("plain", ("JFK", "6")) == StoredRow(5, 5, (1.0, None))
    again.close()


def test_stores_of_one_process_share_the_folder_until_the_last_closes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    reader = LmdbStore(f"lmdb:{tmp_path / 'real'}", readonly=True)
    writer = LmdbStore(f"lmdb:{tmp_path / 'link'}")
    writer.write(COUNTER, counted(1, 1))
    writer.close()
    assert reader.read("counter", ("0",)) == StoredRow(1, 1, (1.0,))
    reader.close()
    with pytest.raises(StorageUnwritable):
        reader.read("counter", ("0",))


def test_a_folder_that_was_deleted_and_made_again_is_another_store(tmp_path: Path) -> None:
    old = LmdbStore(f"lmdb:{tmp_path}")
    old.write(COUNTER, counted(1, 1))
    for name in ("data.mdb", "lock.mdb"):
        (tmp_path / name).unlink()
    new = LmdbStore(f"lmdb:{tmp_path}")
    assert new.read("counter", ("0",)) is None
    new.close()
    old.close()


def test_another_process_sees_a_write_at_once_also_when_the_map_has_grown(tmp_path: Path) -> None:
    url = f"lmdb:{tmp_path}"
    store = LmdbStore(url, map_bytes=1 << 16)
    assert store.read_many(KEYS) == [None] * len(KEYS)
    with start_writer(url, 1) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            said = int(line)
            rows = store.read_many(KEYS)
            assert len(set(rows)) == 1
            assert rows[0] is not None
            assert rows[0].event_us >= said
            if said == 20:
                break
        writer.kill()
    store.write(COUNTER, counted(10_000))
    store.close()


@pytest.mark.slow
def test_a_killed_writer_leaves_every_write_whole_and_none_lost(tmp_path: Path) -> None:
    url, last = f"lmdb:{tmp_path}", 0
    for delay in (0.0, 0.004, 0.011, 0.017):
        writer = start_writer(url, last + 1)
        assert writer.stdout is not None
        last = int(writer.stdout.readline())
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        said = [int(line) for line in writer.stdout.read().split("\n") if line]
        writer.wait()
        last = max([last, *said])
        store = LmdbStore(url, readonly=True)
        rows = store.read_many(KEYS)
        store.close()
        assert len(set(rows)) == 1
        assert rows[0] is not None
        assert rows[0].event_us in {last, last + 1}  # the last may have been written and not yet said
        last = rows[0].event_us


def test_the_map_grows_under_threads_that_read(tmp_path: Path) -> None:
    for attempt in range(20):  # each moves the map several times, at some moment of a read
        store = LmdbStore(f"lmdb:{tmp_path / str(attempt)}", map_bytes=1 << 15)
        store.write(COUNTER, counted(1, 10))
        failures = read_while(store, lambda store=store: store.write(COUNTER, counted(2, 3000)))
        assert failures == []
        assert store.read("counter", ("2999",)) == StoredRow(2, 2, (2.0,))
        assert (tmp_path / str(attempt) / "data.mdb").stat().st_size > 1 << 16
        store.close()


def read_while(store: LmdbStore, act: Callable[[], object]) -> list[BaseException]:
    """What goes wrong in threads that read while `act` is done."""
    failures: list[BaseException] = []
    is_done = threading.Event()

    def read() -> None:
        try:
            while not is_done.is_set():
                assert store.read("counter", ("3",)) is not None
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
    code = """
        import resource, sys
        sys.path.insert(0, sys.argv[2])
        from esteira.base.errors import StorageUnwritable
        from esteira.features.stores.lmdb import LmdbStore
        from tests.features.stores.test_lmdb import COUNTER, KEYS, counted
        store = LmdbStore(sys.argv[1])
        store.write(COUNTER, counted(1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, resource.RLIM_INFINITY))
        try:
            store.write(COUNTER, counted(2, 20_000))
        except StorageUnwritable as refused:
            print(len(set(store.read_many(KEYS))), store.read("counter", ("0",)).event_us)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(store.write(COUNTER, counted(3)))
    """
    assert run(code, f"lmdb:{tmp_path}", ROOT) == "1 1\n300"


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
    store.write(COUNTER, counted(1, 5000))
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
