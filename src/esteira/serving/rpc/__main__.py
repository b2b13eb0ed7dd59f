"""`python -m esteira.serving.rpc --root FOLDER`: the models of a project folder over gRPC, until SIGTERM."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput
from esteira.base.optional import load
from esteira.serving.access.guard import access_mode, warn_if_open
from esteira.serving.audits import refuse_unknown
from esteira.serving.door import listening, main
from esteira.serving.rpc.counters import Counters
from esteira.serving.tls import tls_pair

if TYPE_CHECKING:
    from esteira.base.settings import Settings

_OPTIONS = {"audit": "where changes are recorded, as package.module:trail; without it none are made"}


def run(settings: Settings, port: int | None, audit: str = "") -> None:
    """Take the port, say so, and serve.

    Raises: MissingExtra, PortInUse, BadInput, StorageUnwritable.
    """
    serve, listen = load("esteira.serving.rpc.server:serve"), load("esteira.serving.rpc.server:Listening")
    gateway = settings.gateway
    asked = gateway.grpc_port if port is None else port
    if port is None and not asked:
        raise BadInput("no port for gRPC; set grpc_port under [gateway] in esteira.toml, or give --port")
    access_mode(gateway)
    warn_if_open(gateway)
    refuse_unknown(audit)
    pair = tls_pair(settings)
    tls = (pair[1].read_bytes(), pair[0].read_bytes()) if pair else None
    with listening(gateway.host, asked, "grpcs" if pair else "grpc") as (host, taken):
        settings = replace(settings, gateway=replace(gateway, grpc_port=taken))
        counters = Counters(settings.home / "gateway", taken)
        calls = load("esteira.serving.rpc.opening:open_calls")(settings, counters.folder, audit)
        try:
            drain_s = gateway.drain_ms / 1000
            serve(calls, listen(host, taken, gateway.max_body_bytes, counters.follow, tls, drain_s))
        finally:
            calls.close()
            counters.close()


if __name__ == "__main__":
    sys.exit(main("esteira.serving.rpc", __doc__, run, options=_OPTIONS))
