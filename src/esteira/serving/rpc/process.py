"""The gRPC server of a project folder in a process of its own."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from esteira.serving.process import ModelsProcess


class RpcProcess(ModelsProcess):
    """The models of a project folder over gRPC. Its log is `.esteira/rpc.log`.

    with RpcProcess(folder) as rpc:
        calls go to rpc.address
    """

    module, called = "esteira.serving.rpc", "the gRPC server"
    port_setting, log_name = "grpc_port", "rpc.log"

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
