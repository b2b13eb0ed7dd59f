"""What every OnlineStore must do that several processes open by the same URL."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.contracts.online_store import PLAIN, OnlineStoreContract, batch

from esteira.features.stores import open_store
from esteira.features.stores.port import StoredRow
from esteira.features.times import UTC_MICROS
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    from esteira.features.stores.port import OnlineStore

ROOT = Path(__file__).parents[2]
NUMBERS = FeatureView("numbers", ("k",), ("f",), "t")
TEXTS = FeatureView("texts", ("k",), ("f",), "t")
KEYS = [(view, (str(key),)) for key in range(150) for view in ("numbers", "texts")]

# Writes 150 rows of two views at each moment from the first on, by a step, and says so after each.
WRITER = """
import sys, itertools
import pyarrow as pa
from esteira.features.stores import open_store
from esteira.features.times import UTC_MICROS
from esteira.features.views import FeatureView
store = open_store(sys.argv[1])
numbers, texts = (FeatureView(name, ("k",), ("f",), "t") for name in ("numbers", "texts"))
keys = [str(key) for key in range(150)]
first, last, step = map(int, sys.argv[2:])
for at in itertools.count(first, step) if last < 0 else range(first, last, step):
    times = pa.array([at] * 150, pa.int64()).cast(UTC_MICROS)
    store.write_many([
        (numbers, pa.table({"k": keys, "event_ts": times, "f": [float(at)] * 150})),
        (texts, pa.table({"k": keys, "event_ts": times, "f": [str(at)] * 150})),
    ])
    print(at, flush=True)
"""


def start_writer(url: str, first: int, last: int = -1, step: int = 1) -> subprocess.Popen[str]:
    """A process that writes; without a last moment it never ends."""
    command = [sys.executable, "-c", WRITER, url, *map(str, (first, last, step))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def moment_of(store: OnlineStore) -> int:
    """The moment that all rows of both views have in common."""
    found = store.read_many(KEYS)
    (at,) = {0 if row is None else row.event_us for row in found}
    if at:
        assert found[:2] == [StoredRow(at, at, (float(at),)), StoredRow(at, at, (str(at),))]
    return at


class SharedOnlineStoreContract(OnlineStoreContract):
    """Subclass it and give `url`, of the same store whenever the folder is the same."""

    def url(self, folder: Path) -> str:
        raise NotImplementedError

    def open(self, folder: Path, *, readonly: bool = False) -> OnlineStore:
        return open_store(self.url(folder), readonly=readonly)

    def test_rows_are_there_when_the_store_is_opened_again(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.write(PLAIN, batch(("JFK", 6, 5, None, 1.0, None)))
        store.close()
        again = self.open(tmp_path, readonly=True)
        assert again.read("plain", ("JFK", "6")) == StoredRow(5, 5, (1.0, None))
        again.close()

    def test_another_process_sees_a_write_at_once_and_whole(self, tmp_path: Path) -> None:
        store = self.open(tmp_path, readonly=True)
        assert moment_of(store) == 0
        with start_writer(self.url(tmp_path), 1, 21) as writer:
            assert writer.stdout is not None
            seen = [(int(line), moment_of(store)) for line in writer.stdout]
        assert [said for said, _ in seen] == list(range(1, 21))
        assert all(said <= found for said, found in seen)
        store.close()

    @pytest.mark.slow
    def test_writers_at_once_never_lose_the_newest_row(self, tmp_path: Path) -> None:
        url = self.url(tmp_path)
        writers = [start_writer(url, 1, 30, 2), start_writer(url, 2, 30, 2), start_writer(url, 31, 1, -3)]
        for writer in writers:
            writer.communicate()
        assert [writer.returncode for writer in writers] == [0, 0, 0]
        store = self.open(tmp_path, readonly=True)
        assert moment_of(store) == 31
        store.close()

    @pytest.mark.slow
    def test_a_killed_writer_leaves_every_write_whole_and_none_lost(self, tmp_path: Path) -> None:
        last = 0
        for delay in (0.0, 0.004, 0.011, 0.017):
            writer = start_writer(self.url(tmp_path), last + 1)
            assert writer.stdout is not None
            last = int(writer.stdout.readline())
            time.sleep(delay)  # any moment of a write
            writer.send_signal(signal.SIGKILL)
            said = [int(line) for line in writer.stdout.read().split("\n") if line]
            writer.wait()
            last = max([last, *said])
            store = self.open(tmp_path, readonly=True)
            found = moment_of(store)
            store.close()
            assert found in {last, last + 1}  # the last may have been written and not yet said
            last = found


def counted(at: int, keys: int = 300) -> pa.Table:
    """Rows of many keys that all say the moment."""
    times = pa.array([at] * keys, pa.int64()).cast(UTC_MICROS)
    return pa.table({"k": [str(key) for key in range(keys)], "event_ts": times, "f": [float(at)] * keys})


def run(code: str, *arguments: object) -> str:
    """What a program says that can import tests."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def write_on_a_full_disk(url: str) -> str:
    """Rows and moment after a write that found no place, then how many the next one keeps: "1 1\\n300"."""
    code = """
        import resource, sys
        from esteira.base.errors import StorageUnwritable
        from esteira.features.stores import open_store
        from tests.contracts.shared_online_store import NUMBERS, counted
        store = open_store(sys.argv[1])
        store.write(NUMBERS, counted(1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, resource.RLIM_INFINITY))
        try:
            store.write(NUMBERS, counted(2, 20_000))
        except StorageUnwritable as refused:
            rows = store.read_many([("numbers", (str(key),)) for key in range(300)])
            print(len(set(rows)), rows[0].event_us)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(store.write(NUMBERS, counted(3)))
    """
    return run(code, url)
