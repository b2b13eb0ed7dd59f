from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import StorageUnwritable
from esteira.serving.runtimes.scratch import ScratchFolder

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import os, sys, pathlib
from esteira.serving.runtimes.scratch import ScratchFolder
held = ScratchFolder(pathlib.Path(sys.argv[1]))
(held.path / "weights").write_bytes(b"x")
print(held.path, flush=True)
if sys.argv[2] == "kill":
    os.kill(os.getpid(), 9)
sys.stdin.read()
"""


def held_by_another(place: Path, word: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place), word],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_folder_goes_with_its_holder(tmp_path: Path) -> None:
    held = ScratchFolder(tmp_path)
    path = held.path
    (path / "deep").mkdir()
    (path / "deep" / "weights").write_bytes(b"x")
    assert path.stat().st_mode & 0o777 == 0o700
    del held
    gc.collect()
    assert not path.exists()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with held_by_another(tmp_path, "kill") as killed:
        killed.communicate(timeout=60)
    (left,) = tmp_path.iterdir()
    kept = ScratchFolder(tmp_path)
    assert not left.exists()
    assert kept.path.is_dir()


def test_what_a_living_process_holds_stays(tmp_path: Path) -> None:
    with held_by_another(tmp_path, "live") as living:
        assert living.stdout is not None
        path = living.stdout.readline().strip()
        mine = ScratchFolder(tmp_path)
        assert {str(each) for each in tmp_path.iterdir()} == {path, str(mine.path)}
        living.communicate("", timeout=60)
    assert list(tmp_path.iterdir()) == [mine.path]  # it ended well, and took its own along


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageUnwritable, match="nowhere"):
        ScratchFolder(tmp_path / "nowhere")
