from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from esteira.serving.load.processes import family, usage

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="the system has no /proc"
)
_CHILD = "import sys; held = bytearray(50_000_000); print('up', flush=True); sys.stdin.read()"


def test_children_belong_to_the_family_and_their_memory_is_counted() -> None:
    before = usage(os.getpid())
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert family(os.getpid())[0] == os.getpid()
        assert child.pid in family(os.getpid())
        found = usage(os.getpid())
    finally:
        child.communicate("")
    assert before is not None
    assert found is not None
    assert found.memory_bytes - before.memory_bytes > 50_000_000
    assert found.cpu_seconds >= before.cpu_seconds


def test_a_process_that_has_ended_uses_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    assert family(ended.pid) == []
    assert usage(ended.pid) is None
