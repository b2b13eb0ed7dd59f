"""The MLflow backend on a real `mlflow server`, over the network."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from tests.contracts.backend import BackendContract

from esteira.base.digest import digest_folder
from esteira.base.errors import ServiceUnreachable
from esteira.registry.backends import open_backend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.registry.backends.mlflow import MlflowBackend


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(database: Path, artifacts: Path, log: Path) -> tuple[str, subprocess.Popen[bytes]]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{database}"]
    command += ["--artifacts-destination", str(artifacts)]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    for _ in range(900):  # it imports for seconds, and more on a busy machine
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return f"http://127.0.0.1:{port}", server
        except OSError:
            time.sleep(0.2)
    stop(server)
    raise AssertionError(log.read_text())


def stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a server, and the home whose database it serves."""
    home = tmp_path_factory.mktemp("server")
    shutil.copy(database, home)
    url, process = serve(home / "mlflow.db", home / "destination", home / "log")
    yield url, home
    stop(process)


@pytest.mark.slow
class TestMlflowOnAServer(BackendContract):
    @pytest.fixture
    def backend(self, server: tuple[str, Path], tmp_path: Path) -> MlflowBackend:
        return open_backend(server[0], home=tmp_path / "home")

    def test_a_corrupt_copy_in_the_cache_is_fetched_again(
        self, backend: MlflowBackend, name: str, tmp_path: Path
    ) -> None:
        made = self.register(backend, name, tmp_path / "bundle")
        folder = backend.fetch(name, 1)
        (folder / "model.json5").write_bytes(b"broken")
        assert digest_folder(backend.fetch(name, 1)) == made.digest

    def test_the_variable_that_everybody_uses_is_honoured(
        self, server: tuple[str, Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server[0])
        self.register(open_backend("mlflow:", home=tmp_path / "home"), name, tmp_path / "bundle")
        assert name in open_backend(f"mlflow:{server[0]}", home=tmp_path / "other").names()
        assert not (tmp_path / "home" / "mlflow.db").exists()

    def test_the_standard_ui_over_our_database_shows_run_version_and_alias(
        self, server: tuple[str, Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        url, home = server
        local = open_backend("mlflow:", home=home)
        self.register(local, name, tmp_path / "bundle")
        local.set_alias(name, "champion", 1)
        model = answer(f"{url}/api/2.0/mlflow/registered-models/get?name={name}")["registered_model"]
        assert model["aliases"] == [{"alias": "champion", "version": "1"}]
        card = answer(f"{url}/model-versions/get-artifact?name={name}&version=1&path=MLmodel")
        assert card["metadata"]["esteira_bundle"] == "esteira"
        run_id = model["latest_versions"][0]["run_id"]
        run = answer(f"{url}/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]
        assert run["info"]["status"] == "FINISHED"
        assert {metric["key"] for metric in run["data"]["metrics"]} == {"roc_auc", "brier"}

    def test_a_server_that_goes_away_between_two_calls_is_said_to_be_unreachable(
        self, server: tuple[str, Path], tmp_path: Path
    ) -> None:
        relay = Relay(int(server[0].rpartition(":")[2]))
        backend = open_backend(f"http://127.0.0.1:{relay.port}", home=tmp_path / "home")
        backend.names()
        relay.cut()
        with pytest.raises(ServiceUnreachable):
            backend.names()


def answer(url: str) -> dict[str, Any]:
    with urlopen(url) as response:
        return json.load(response)


class Relay:
    """Passes each connection on to a port, until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := one.recv(65536):
                other.sendall(content)

    def cut(self) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
