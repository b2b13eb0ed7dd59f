"""A server that is somebody's child ends when its parent does, however that ended."""

from __future__ import annotations

import os
import signal
import threading

_LOOK_S = 0.2


def end_with(parent: int | None) -> None:
    """Ask this process to end, as SIGTERM does, once `parent` is its parent no more; None: never."""
    if parent is not None:
        threading.Thread(target=_watch, args=(parent,), name="lifeline", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        threading.Event().wait(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
