from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from esteira.serving.load.peaks import LOOK_S, PeakMemory

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="the system has no /proc"
)
_CHILD = (
    "import sys, time; held = bytearray(80_000_000); time.sleep({seconds}); del held; "
    "print('gone', flush=True); sys.stdin.read()"
)


def test_memory_that_was_held_for_a_while_is_remembered() -> None:
    command = [sys.executable, "-c", _CHILD.format(seconds=5 * LOOK_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        with PeakMemory(child.pid) as peak:
            assert child.stdout is not None
            child.stdout.readline()
        with PeakMemory(child.pid) as after:
            pass
        assert child.stdin is not None
        child.stdin.close()
    assert peak.memory_bytes is not None
    assert after.memory_bytes is not None
    assert peak.memory_bytes - after.memory_bytes > 70_000_000


def test_a_process_that_is_gone_holds_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    with PeakMemory(ended.pid) as peak:
        pass
    assert peak.memory_bytes is None
