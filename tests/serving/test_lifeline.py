from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from esteira.serving.lifeline import end_with

# A parent that starts a child under its lifeline, tells the child's id, and waits to be killed.
PARENT = """
import os, subprocess, sys, time
child = "import os, sys, time\\nfrom esteira.serving.lifeline import end_with\\n"
child += "end_with(int(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", child, str(os.getpid())])
time.sleep(60)
"""


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _ends(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while _is_there(pid) and time.monotonic() < deadline:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        except ChildProcessError:
            time.sleep(0.05)
    return not _is_there(pid)


def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        child = int(said.readline())
        assert _is_there(child)
        parent.kill()
        parent.wait()
        assert _ends(child)


def test_a_child_whose_parent_is_gone_already_ends_by_the_signal_that_asks() -> None:
    program = "import time; from esteira.serving.lifeline import end_with; end_with(1); time.sleep(60)"
    ended = subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    assert ended.returncode == -signal.SIGTERM


def test_a_process_with_its_parent_or_without_a_lifeline_lives_on() -> None:
    before = {thread.name for thread in threading.enumerate()}
    end_with(None)
    assert {thread.name for thread in threading.enumerate()} == before
    program = (
        "import os, time; from esteira.serving.lifeline import end_with; "
        "end_with(os.getppid()); time.sleep(0.6); print('alive')"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "alive\n")
