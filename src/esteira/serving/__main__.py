"""`python -m esteira.serving --root FOLDER`: the gateway of a project folder, until SIGTERM."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from esteira.base.optional import load
from esteira.serving.access.guard import warn_if_open
from esteira.serving.audits import refuse_unknown
from esteira.serving.door import listening, main
from esteira.serving.draining import Draining
from esteira.serving.servers.port import ServerLimits
from esteira.serving.shared import make_anew, take_away
from esteira.serving.tls import tls_pair

if TYPE_CHECKING:
    from esteira.base.settings import Settings


_WORKER = "esteira.serving.worker:open_worker"
_OPTIONS = {"audit": "where changes are recorded, as package.module:trail; without it none are made"}


def run(settings: Settings, port: int | None, audit: str = "") -> None:
    """Take the port, say so, and serve.

    Raises: MissingExtra, PortInUse, BadInput, StorageUnwritable, SystemExit.
    """
    serve = load("esteira.serving.servers.granian:serve")
    _preload()
    gateway = settings.gateway
    warn_if_open(gateway)
    refuse_unknown(audit)
    pair = tls_pair(settings)
    cert, key = pair or (None, None)
    asked, scheme = gateway.port if port is None else port, "https" if pair else "http"
    with listening(gateway.host, asked, scheme) as (host, taken):
        shared = settings.home / "gateway" / str(taken)
        make_anew(shared)
        serve(
            _WORKER,
            (str(settings.root), str(shared), str(os.getpid()), audit),
            host=host,
            port=taken,
            workers=gateway.workers,
            tls_cert=cert,
            tls_key=key,
            limits=_limits(settings, Draining(shared)),
        )
        take_away(shared)


def _preload() -> None:
    """Load here what every worker needs: after the fork they share its memory, and nobody loads it again."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read by numpy: no threads before the fork
    load(_WORKER)
    gc.collect()
    gc.freeze()  # a collection would write to the pages that are shared


def _limits(settings: Settings, draining: Draining) -> ServerLimits:
    gateway = settings.gateway
    return ServerLimits(
        header_ms=gateway.header_ms,
        connections=gateway.connections,
        drain_s=gateway.drain_ms / 1000,
        on_ending=draining.begin,
    )


if __name__ == "__main__":
    sys.exit(main("esteira.serving", __doc__, run, options=_OPTIONS))
