from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from esteira.project.modes.process import ModeFailed, ModeProcess, Order
from esteira.serving.streams.local import LocalStream

if TYPE_CHECKING:
    from esteira.project.modes.scratch import Scratch


def streaming(scratch: Scratch) -> Order:
    return Order("streaming", str(scratch.folder))


def all_told(process: ModeProcess) -> None:
    while process.told():
        pass


def test_it_says_when_it_is_ready_and_how_long_that_took(scratch: Scratch) -> None:
    with ModeProcess(scratch, streaming(scratch)) as process:
        assert process.told() == {"ready": True}
        took = process.start_s
        assert process.told()["seconds"] >= 0
        assert process.start_s == took > 0
        process.ask(0)
        assert process.told() == {"following": True}
        assert process.told() == {"written": []}


def test_what_it_cannot_do_is_said_by_the_mode(scratch: Scratch) -> None:
    scratch.tables.append("bench_stream", scratch.tables.read("bench_rows"))
    with (
        ModeProcess(scratch, streaming(scratch)) as process,
        pytest.raises(ModeFailed, match="in streaming mode"),
    ):
        process.told()


def test_one_that_breaks_is_said_by_the_last_line_of_its_log(scratch: Scratch) -> None:
    with (
        ModeProcess(scratch, Order("by hand", str(scratch.folder))) as process,
        pytest.raises(ModeFailed, match="KeyError: 'by hand'"),
    ):
        process.told()


def test_one_that_is_killed_is_said(scratch: Scratch) -> None:
    with ModeProcess(scratch, streaming(scratch)) as process:
        process.told()
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ModeFailed, match="exit code -9"):
            all_told(process)


def test_one_whose_parent_is_gone_ends_by_itself(scratch: Scratch) -> None:
    LocalStream(f"file:{scratch.folder}/inbox")
    command, pipe = [sys.executable, "-m", "esteira.project.modes"], subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=dict(scratch.environment)
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(msgspec.json.encode(streaming(scratch)) + b"\n1000\n")
        child.stdin.flush()
        while b"following" not in child.stdout.readline():
            pass
        child.stdin.close()  # as when the parent is killed while messages are still to come
        assert child.wait(10) == 0
