"""Whether a process still lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from esteira.pipelines import liveness
from esteira.pipelines.liveness import ProcessMark, birth_of, this_process


def test_this_process_lives_under_its_own_birth_only() -> None:
    me = this_process()
    assert me.is_alive
    assert not ProcessMark(me.pid, me.born + "1").is_alive
    assert not ProcessMark(me.pid, "").is_alive


@pytest.mark.parametrize("ask", [birth_of, liveness._birth_from_ps])
def test_a_killed_process_is_dead_even_before_it_is_buried(ask: object) -> None:
    assert callable(ask)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        born = ask(child.pid)
        assert born
        assert ask(child.pid) == born
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert ask(child.pid) == ""
    finally:
        child.kill()
        child.communicate()
    assert ask(child.pid) == ""
