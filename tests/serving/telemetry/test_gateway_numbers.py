"""The numbers of a real gateway of two workers, one of which is killed."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from tests.serving.http.test_exposition import parse
from tests.serving.telemetry.exchanges import wait_for
from tests.serving.worlds import deployment, project, tree_model

from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore
from esteira.serving.telemetry.snapshot import read_snapshot, running

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings

ASKED = {"dataframe_records": [{"miles": 100, "carrier": "UA"}]}


def _settings(root: Path, agent: socket.socket) -> Settings:
    address = f"127.0.0.1:{agent.getsockname()[1]}"
    toml = f'[gateway]\nworkers = 2\n[telemetry]\ndogstatsd = "{address}"\npush_s = 0.2\n'
    settings = project(root, f'[project]\nname = "late"\n{toml}')
    routes = deployment(ArtifactStore(settings.store("artifacts")), tree_model(-1.0))
    RouteStore(settings.store("state")).set(routes)
    return settings


def _ask(url: str, times: int) -> None:
    for _ in range(times):  # a connection each, so that both workers get some
        assert httpx.post(f"{url}/invocations", json=ASKED).status_code == 200


def _answered(url: str) -> float:
    samples = parse(httpx.get(f"{url}/metrics").text)["esteira_requests_total"].samples
    return sum(value for (_, labels), value in samples.items() if ("model", "late") in labels)


def _sent(agent: socket.socket) -> float:
    total = 0.0
    while True:
        try:
            lines = agent.recv(65_536).decode().split("\n")
        except BlockingIOError:
            return total
        counted = [line for line in lines if line.startswith("esteira.requests:") and "model:late" in line]
        total += sum(float(line.split(":")[1].split("|")[0]) for line in counted)


@pytest.mark.slow
def test_counters_never_go_back_and_the_dead_measure_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(0)
        settings = _settings(tmp_path / "p", agent)
        with GatewayProcess(settings.root, port=0) as gateway:
            port = urlsplit(gateway.url).port
            shared = settings.home / "gateway" / str(port)
            _ask(gateway.url, 40)
            assert _answered(gateway.url) == 40
            assert running(settings.home) == [port]
            wait_for(lambda: read_snapshot(shared, 0.0).workers == 2)
            killed = int(sorted(shared.glob("w*.names"))[0].stem.removeprefix("w"))
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: len(list(shared.glob("w*.names"))) == 3)
            wait_for(lambda: read_snapshot(shared, 0.0).workers == 2)
            assert _answered(gateway.url) == 40
            _ask(gateway.url, 10)
            assert _answered(gateway.url) == 50
            memory = parse(httpx.get(f"{gateway.url}/metrics").text)["esteira_worker_memory_bytes"].samples
            assert not any(f"w{killed}" in dict(labels).values() for _, labels in memory)
            assert read_snapshot(shared, 1.0).models["late"].requests == 50
        assert _sent(agent) == 50
        assert running(settings.home) == []
