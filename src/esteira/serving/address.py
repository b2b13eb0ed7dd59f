"""A place to listen: taken before anything else starts, so that a port in use is said at once."""

from __future__ import annotations

import errno
import socket
import sys
import time

from esteira.base.errors import BadInput

PATIENCE_S = 1.0  # a gateway that is just ending may still hold the port
_STEP_S = 0.05


class PortInUse(BadInput):
    """A port that another program listens on."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is in use; stop what listens there, or choose another: "
            "ESTEIRA_GATEWAY_PORT for the gateway, ESTEIRA_GATEWAY_GRPC_PORT for gRPC, ESTEIRA_WEB_PORT for "
            "the pages, or the same in esteira.toml"
        )
        self.host, self.port = host, port


def reserve(host: str, port: int, *, patience_s: float = PATIENCE_S) -> socket.socket:
    """A bound socket that does not listen: it keeps the port for servers that share it (SO_REUSEPORT).

    Port 0 takes a free one. Raises: PortInUse, BadInput (a host that is not this machine's, a port that is
    not ours to take).
    """
    deadline = time.monotonic() + patience_s
    while True:
        held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((host, port))
        except (OSError, OverflowError) as refused:
            held.close()
            if getattr(refused, "errno", None) != errno.EADDRINUSE:
                raise BadInput(
                    f"cannot listen on {host}:{port}: {refused}; choose another address"
                ) from refused
            if time.monotonic() > deadline:
                raise PortInUse(host, port) from refused
            time.sleep(_STEP_S)
            continue
        # After the bind: others could not share it while it was taken, the workers of this gateway can now.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return held


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """The URL of an address; a gateway on all interfaces is reached on this machine's own.

    >>> url_of("0.0.0.0", 8080), url_of("::1", 8080)
    ('http://127.0.0.1:8080', 'http://[::1]:8080')
    """
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{shown}]:{port}" if ":" in shown else f"{scheme}://{shown}:{port}"


def shares_ports() -> bool:
    """Whether servers may listen on a port that `reserve` holds."""
    return sys.platform == "linux"
