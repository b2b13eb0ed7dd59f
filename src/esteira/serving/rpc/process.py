"""The gRPC server of a project folder in a process of its own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from esteira.base.settings import load_settings
from esteira.serving.process import Door, ServerProcess
from esteira.serving.tls import tls_pair

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class RpcProcess(ServerProcess):
    """The models of a project folder over gRPC. Its log is `.esteira/rpc.log`.

    with RpcProcess(folder) as rpc:
        calls go to rpc.address
    """

    def __init__(
        self,
        root: Path,
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        audit: str = "",
    ) -> None:
        """`port` instead of `grpc_port` in esteira.toml; 0 takes a free one. `audit` as for the gateway.

        Raises: NotFound, BadInput.
        """
        settings = load_settings(root, environment)
        gateway = settings.gateway
        door = Door(
            "esteira.serving.rpc",
            "the gRPC server",
            gateway.host,
            gateway.grpc_port if port is None else port,
            "",
            settings.root,
            settings.home / "rpc.log",
            tls=tls_pair(settings) is not None,
            drain_s=gateway.drain_ms / 1000,
            options=("--audit", audit) if audit else (),
        )
        super().__init__(door, environment)

    @property
    def address(self) -> str:
        """What gRPC clients call it by, HOST:PORT."""
        return urlsplit(self.url).netloc

    def _answers(self) -> bool:
        """It listens only once its routes are taken up, so whoever can connect can call."""
        url = urlsplit(self.url)
        try:
            socket.create_connection((url.hostname or "", url.port or 0), timeout=1).close()
        except OSError:
            return False
        return True
