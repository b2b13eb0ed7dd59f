"""Servers that wait for their turn use no processor: they are stopped, and go on where they were."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from esteira.serving.load.processes import family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.parts.servers import Running


def pause(running: Running) -> None:
    """Stop a server and all that it started, until it is resumed."""
    _signal(running, signal.SIGSTOP)


def resume(running: Running) -> None:
    """Let it go on."""
    _signal(running, signal.SIGCONT)


@contextmanager
def awake(running: Running) -> Iterator[Running]:
    """A paused server for the time of a measurement."""
    resume(running)
    running.recover()
    try:
        yield running
    finally:
        pause(running)


def _signal(running: Running, name: signal.Signals) -> None:
    for pid in family(running.process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, name)
