from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esteira.serving.mirroring.priority import put_last

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pid() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process.pid
    process.kill()
    process.wait()


def test_a_process_that_was_put_last_has_the_least_claim_on_the_processor(pid: int) -> None:
    put_last(pid)
    put_last(pid)
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) < 19
    if hasattr(os, "SCHED_IDLE"):
        assert os.sched_getscheduler(pid) == os.SCHED_IDLE


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="Linux alone says who goes first")
def test_it_is_the_first_to_go_when_there_is_no_memory(pid: int) -> None:
    put_last(pid)
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"


def test_a_process_that_has_ended_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    put_last(process.pid)
