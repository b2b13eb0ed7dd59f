from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import StorageUnwritable
from esteira.serving.telemetry.turn import Turn

if TYPE_CHECKING:
    from pathlib import Path

HOLDS = """
import sys, time
from pathlib import Path
from esteira.serving.telemetry.turn import Turn
turn = Turn(Path(sys.argv[1]))
print(turn.is_mine(), flush=True)
time.sleep(60)
"""


def test_one_worker_speaks_and_the_next_when_it_ends(tmp_path: Path) -> None:
    one, other = Turn(tmp_path), Turn(tmp_path)
    assert [one.is_mine(), other.is_mine(), one.is_mine()] == [True, False, True]
    one.close()
    assert [other.is_mine(), one.is_mine()] == [True, False]
    other.close()


def test_a_worker_that_is_killed_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        turn = Turn(tmp_path)
        assert not turn.is_mine()
        holder.kill()
        holder.wait()
        assert turn.is_mine()


def test_what_is_kept_is_there_for_the_next(tmp_path: Path) -> None:
    Turn(tmp_path).keep("dogstatsd", b"state")
    assert Turn(tmp_path).kept("dogstatsd") == b"state"
    assert Turn(tmp_path).kept("otlp") is None


def test_without_a_folder_it_is_always_the_turn_of_the_one_worker() -> None:
    turn = Turn(None)
    turn.keep("dogstatsd", b"state")
    assert turn.is_mine()
    assert [turn.kept("dogstatsd"), turn.kept("otlp")] == [b"state", None]
    turn.close()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritable):
        Turn(tmp_path / "file" / "shared")
