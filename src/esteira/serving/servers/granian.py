"""granian: sockets and HTTP in Rust, our application in Python, one process per worker."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from granian import Granian

from esteira.base.optional import load

if TYPE_CHECKING:
    from collections.abc import Sequence

KILL_AFTER_S = 3  # a worker that waits for half a request; what it answered is on disk by then


def serve(
    target: str,
    arguments: Sequence[str] = (),
    *,
    host: str,
    port: int,
    workers: int = 1,
    interface: Literal["rsgi", "asgi"] = "rsgi",
) -> None:
    """Serve the application that `target` makes of `arguments` until SIGTERM or SIGINT.

    `target` is "package.module:function"; each worker calls it for itself after the fork, so no thread, lock
    or handle is shared. On SIGTERM requests in flight are answered first. Raises: SystemExit when workers
    keep failing.
    """
    server = Granian(
        target,
        address=host,
        port=port,
        interface=interface,
        workers=workers,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_AFTER_S,
        log_enabled=False,
    )
    server.serve(target_loader=partial(_open, target, tuple(arguments)), wrap_loader=False)


def _open(target: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401 - any application
    return load(target)(*arguments)
