from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.serving.rpc.clients import client_of, columns
from tests.serving.test_process import deploy, logged
from tests.serving.worlds import project, tree_score

from esteira.base.errors import NotFound, ServiceUnreachable
from esteira.serving.address import PortInUse
from esteira.serving.process import GatewayProcess
from esteira.serving.rpc.process import RpcProcess

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = project(tmp_path / "p")
    deploy(settings, -1.0)
    return settings


def test_a_server_starts_answers_stops_and_has_logged_everything(settings: Settings) -> None:
    with RpcProcess(settings.root, port=0) as rpc:
        assert rpc.url == f"grpc://{rpc.address}"
        assert rpc.start() is rpc
        with client_of(rpc) as client:
            assert client.infer("late", columns(), request_id="f1").as_numpy("score") == [tree_score(-1.0)]
    assert rpc.stop() == 0
    assert [each["id"] for each in logged(settings)] == ["f1"]
    assert rpc.log.read_text() == ""
    assert list((settings.home / "gateway").iterdir()) == []


def test_the_gateway_shows_what_was_asked_over_grpc(settings: Settings) -> None:
    from tests.serving.test_process import Caller, until

    with (
        RpcProcess(settings.root, port=0) as rpc,
        GatewayProcess(settings.root, port=0) as gateway,
        client_of(rpc) as client,
        Caller(gateway.url) as caller,
    ):
        client.infer("late", columns())
        line = 'version="1",variant="champion",protocol="grpc",code="OK"} 1'
        assert until(lambda: line in caller.ask("GET", "/metrics")[1])


def test_a_port_is_needed_and_must_be_free(settings: Settings) -> None:
    command = [sys.executable, "-m", "esteira.serving.rpc", "--root", str(settings.root)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, "set grpc_port under [gateway]" in ended.stderr) == (2, True), ended.stderr
    with RpcProcess(settings.root, port=0) as rpc:
        port = int(rpc.address.rpartition(":")[2])
        with pytest.raises(PortInUse, match="ESTEIRA_GATEWAY_GRPC_PORT"):
            RpcProcess(settings.root, port=port).start()


def test_a_server_that_cannot_open_its_stores_says_why(tmp_path: Path) -> None:
    settings = project(tmp_path, '[stores]\npredictions = "kafka:x"\n')
    rpc = RpcProcess(settings.root, port=0)
    with pytest.raises(ServiceUnreachable, match=r"kafka.*rpc\.log"):
        rpc.start()
    assert "Traceback" not in rpc.log.read_text()
    with pytest.raises(NotFound, match=r"esteira\.toml"):
        RpcProcess(tmp_path / "nowhere")
