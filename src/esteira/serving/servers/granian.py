"""granian: sockets and HTTP in Rust, our application in Python, one process per worker."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from granian import Granian
from granian.constants import HTTPModes
from granian.http import HTTP1Settings

from esteira.base.optional import load
from esteira.serving.servers.ending import Ending
from esteira.serving.servers.port import ServerLimits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def serve(  # noqa: PLR0913 - each says how to listen
    target: str,
    arguments: Sequence[str] = (),
    *,
    host: str,
    port: int,
    workers: int = 1,
    interface: Literal["rsgi", "asgi"] = "rsgi",
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    limits: ServerLimits | None = None,
) -> None:
    """Serve the application that `target` makes of `arguments` until SIGTERM or SIGINT.

    `target` is "package.module:function"; each worker calls it for itself after the fork, so no thread, lock
    or handle is shared. On SIGTERM requests in flight are answered first; a worker that still waits for half
    a request after `limits.stop_s` is killed, and what it answered is on disk by then. With a certificate and
    its key it speaks TLS 1.3 only. Raises: SystemExit when workers keep failing.
    """
    limits = limits or ServerLimits()
    server = Granian(
        target,
        address=host,
        port=port,
        interface=interface,
        workers=workers,
        websockets=False,
        http=HTTPModes.http1,  # with a second protocol to guess, one who says nothing could wait for ever
        respawn_failed_workers=True,
        workers_kill_timeout=limits.stop_s,
        log_enabled=False,
        backpressure=limits.connections,
        http1_settings=HTTP1Settings(header_read_timeout=limits.header_ms),
        ssl_cert=tls_cert,
        ssl_key=tls_key,
    )
    ending = Ending(limits.on_ending, server.signal_handler_interrupt, limits.drain_s)
    server.on_startup(ending.install)  # after granian has set its own handlers, before it forks
    server.serve(target_loader=partial(_open, target, tuple(arguments)), wrap_loader=False)


def _open(target: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401 - any application
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # there is nothing to answer until the loop takes it
    return load(target)(*arguments)
