"""A process that gets what nobody else wants: of the processor, and of memory when there is none left."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LAST = 19  # the niceness of who comes last
_FIRST_TO_GO = "1000"


def put_last(pid: int) -> None:
    """Let a process, and whatever it starts from now on, give way to all others, as far as the system can.

    It is said from outside, for what a process of ours loads before it could say so itself takes a second.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, _LAST)
    with suppress(OSError, AttributeError):  # Linux alone has it: to run only where a core would be idle
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):  # Linux alone
        Path(f"/proc/{pid}/oom_score_adj").write_text(_FIRST_TO_GO)
