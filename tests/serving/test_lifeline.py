from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from esteira.serving.lifeline import end_with

CHILD = """
import os, sys, time
from esteira.serving.lifeline import end_with
end_with(os.getppid())
print(os.getpid(), flush=True)
time.sleep(float(sys.argv[1]))
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_ends_when_its_parent_was_killed() -> None:
    command = [sys.executable, "-c", PARENT, "-c", CHILD, "60"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(child)


def test_a_parent_that_lives_is_no_reason_to_end() -> None:
    command = [sys.executable, "-c", CHILD, "0.6"]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_without_a_parent_to_watch_nothing_is_started() -> None:
    end_with(None)
    assert "lifeline" not in {thread.name for thread in threading.enumerate()}
