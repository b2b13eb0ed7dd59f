from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import StorageUnwritable
from esteira.base.files import StillLocked, folder_atomic, locked, sync_folder, write_atomic, writing

if TYPE_CHECKING:
    from pathlib import Path

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from esteira.base.files import write_atomic
path, size = Path(sys.argv[1]), 200_000
for turn in range(10_000):
    write_atomic(path, bytes([turn % 256]) * size)
    print(turn, flush=True)
"""

HOLD_FOR_EVER = """
import sys, time
from pathlib import Path
from esteira.base.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

WRITE_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from esteira.base.errors import StorageUnwritable
from esteira.base.files import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path(sys.argv[1]), b"new" * 1000)
except StorageUnwritable as refused:
    print(refused)
"""


def test_a_file_is_replaced_whole_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]


def test_a_file_is_whole_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.bin"
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"0\n"
    for _ in range(50):
        content = path.read_bytes()
        assert content == content[:1] * 200_000
        time.sleep(0.002)
    writer.send_signal(signal.SIGKILL)
    confirmed = int(writer.communicate()[0].splitlines()[-1])
    content = path.read_bytes()
    assert content == content[:1] * 200_000
    assert content[0] in {confirmed % 256, (confirmed + 1) % 256}


def test_a_full_disk_is_one_clear_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", WRITE_ON_A_FULL_DISK, str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert told.stderr == ""
    assert told.stdout.startswith(f"cannot write to {path}: ")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_place_that_is_no_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnwritable, match="choose another folder"):
        write_atomic(tmp_path / "file" / "state.json", b"new")
    with (
        pytest.raises(StorageUnwritable, match="choose another folder"),
        folder_atomic(tmp_path / "file" / "x"),
    ):
        pytest.fail("the block must not run")


def test_only_refusals_of_the_system_become_storage_errors(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing(tmp_path):
        raise KeyError("mine")


def test_a_folder_appears_only_when_the_block_has_ended_well(tmp_path: Path) -> None:
    target = tmp_path / "store" / "model"
    with folder_atomic(target) as scratch:
        (scratch / "deep").mkdir()
        (scratch / "deep" / "model.txt").write_text("tree")
        assert not target.exists()
    assert (target / "deep" / "model.txt").read_text() == "tree"
    assert [p.name for p in target.parent.iterdir()] == ["model"]


def test_a_folder_whose_block_failed_leaves_nothing(tmp_path: Path) -> None:
    def half() -> None:
        with folder_atomic(tmp_path / "model") as scratch:
            (scratch / "model.txt").write_text("half")
            raise KeyError("mine")

    with pytest.raises(KeyError):
        half()
    assert list(tmp_path.iterdir()) == []


def test_of_two_writers_of_one_folder_the_first_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with folder_atomic(target) as late:
        (late / "model.txt").write_text("late")
        with folder_atomic(target) as early:
            (early / "model.txt").write_text("early")
    assert (target / "model.txt").read_text() == "early"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count(_: int) -> None:
        with locked(tmp_path / "deep" / "lock"):
            turn = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(turn + 1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(40)))
    assert counter.read_text() == "40"


def test_a_killed_holder_lets_go_of_its_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD_FOR_EVER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        with locked(tmp_path / "lock"):
            pass


def test_who_waits_for_a_lock_with_patience_hears_when_that_is_over(tmp_path: Path) -> None:
    lock, told = tmp_path / "lock", pytest.raises(StillLocked, match=r"still locked after 0\.05 s")
    with locked(lock), told, locked(lock, 0.05):
        pytest.fail("two hold one lock")
    with locked(tmp_path / "lock", 0.05):
        pass


def test_a_folder_that_does_not_exist_cannot_be_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "nothing")
