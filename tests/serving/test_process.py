from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import pytest
from tests.serving.worlds import deployment, project, tree_model, tree_score

from esteira.base.errors import BadInput, NotFound, ServiceUnreachable
from esteira.monitoring.prediction_log import PREDICTIONS, predictions_table
from esteira.monitoring.segments import folder_of, read_segments
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.address import PortInUse
from esteira.serving.process import Door, GatewayProcess, ServerProcess
from esteira.serving.routes import Routes, RouteStore, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esteira.base.settings import Settings

pytestmark = pytest.mark.slow

PATH = "/v2/models/late/infer"
TWO_WORKERS = '[project]\nname = "late"\n[gateway]\nworkers = 2\n'


class Caller:
    """A client on one connection that stays open."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)

    def infer(self, name: str, key: str = "") -> tuple[int, Any]:
        inputs = [
            {"name": "miles", "shape": [1], "datatype": "FP64", "data": [100]},
            {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
        ]
        return self.ask("POST", PATH, {"id": name, "parameters": {"key": key}, "inputs": inputs})

    def ask(self, method: str, path: str, document: object = None) -> tuple[int, Any]:
        body = None if document is None else json.dumps(document)
        self._connection.request(method, path, body)
        response = self._connection.getresponse()
        content = response.read()
        is_json = response.headers["content-type"] == "application/json"
        return response.status, json.loads(content) if is_json else content.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class Load:
    """Callers on threads that ask without pause until told to stop, or until the gateway is gone."""

    def __init__(self, url: str, threads: int = 3) -> None:
        self.answers: list[tuple[float, str, int, Any]] = []  # when, id, status, document
        self.broken: list[Exception] = []
        self._url, self._stop = url, threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _call(self, lane: int) -> None:
        with Caller(self._url) as caller:
            count = 0
            while not self._stop.is_set():
                name = f"{lane}-{count}"
                try:
                    status, document = caller.infer(name)
                except (OSError, http.client.HTTPException) as broken:
                    self.broken.append(broken)
                    return
                self.answers.append((time.monotonic(), name, status, document))
                count += 1

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def deploy(settings: Settings, *lows: float, shares: tuple[float, ...] = (1.0,)) -> Routes:
    artifacts = ArtifactStore(settings.store("artifacts"))
    models = [tree_model(low) for low in lows]
    return RouteStore(settings.store("state")).set(deployment(artifacts, *models, shares=shares))


def logged(settings: Settings) -> list[dict[str, Any]]:
    payloads, _ = read_segments(folder_of(settings.store("predictions")), PREDICTIONS, {})
    return list(predictions_table(payloads).to_pylist())


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = project(tmp_path / "p")
    deploy(settings, -1.0)
    return settings


@pytest.fixture
def gateway(settings: Settings) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(settings.root, port=0).start()
    yield gateway
    gateway.kill()


def test_a_gateway_starts_answers_stops_and_has_logged_everything(settings: Settings) -> None:
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        status, answer = caller.infer("f1")
        assert (status, answer["outputs"][0]["data"]) == (200, [tree_score(-1.0)])
        assert caller.ask("GET", "/v2/health/ready") == (200, {"ready": True})
        assert gateway.start() is gateway
    assert gateway.stop() == 0
    assert [each["id"] for each in logged(settings)] == ["f1"]
    assert not (settings.home / "gateway" / str(urlsplit(gateway.url).port)).exists()


def test_a_gateway_without_routes_is_live_and_takes_them_up_when_they_come(tmp_path: Path) -> None:
    settings = project(tmp_path)
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert caller.ask("GET", "/v2/health/ready")[0] == 503
        assert caller.infer("f1")[0] == 404
        deploy(settings, -1.0)
        assert until(lambda: caller.ask("GET", "/v2/health/ready")[0] == 200)
        assert caller.infer("f1")[0] == 200


def test_a_port_in_use_is_said_with_the_mend(gateway: GatewayProcess, settings: Settings) -> None:
    port = urlsplit(gateway.url).port
    with pytest.raises(PortInUse, match="ESTEIRA_GATEWAY_PORT"):
        GatewayProcess(settings.root, port=port).start()
    command = [sys.executable, "-m", "esteira.serving", "--root", str(settings.root), "--port", str(port)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "is in use" in ended.stderr
    assert "Traceback" not in ended.stderr
    with Caller(gateway.url) as caller:
        assert caller.infer("f1")[0] == 200


def test_a_gateway_that_cannot_open_its_stores_says_why(tmp_path: Path) -> None:
    settings = project(tmp_path, '[stores]\npredictions = "kafka:x"\n')
    gateway = GatewayProcess(settings.root, port=0)
    with pytest.raises(ServiceUnreachable, match="kafka"):
        gateway.start()
    assert "Traceback" not in gateway.log.read_text()
    assert not is_running(gateway.pid)


@pytest.mark.parametrize("said", ["", '{"url":'], ids=["nothing", "half a line"])
def test_a_server_that_hangs_before_it_says_where_it_listens_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    program = f"import sys, time; sys.stdout.write({said!r}); sys.stdout.flush(); time.sleep(60)"
    (tmp_path / "hanging.py").write_text(program)
    monkeypatch.setattr("esteira.serving.process.START_S", 1.0)
    door = Door("hanging", "the gateway", "127.0.0.1", 0, "/", tmp_path, tmp_path / "gateway.log")
    server = ServerProcess(door, {**os.environ, "PYTHONPATH": str(tmp_path)})
    with pytest.raises(ServiceUnreachable, match=r"did not say where it listens within 1 s.*gateway\.log"):
        server.start()
    assert not is_running(server.pid)


def test_what_is_asked_too_early_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"esteira\.toml"):
        GatewayProcess(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="start"):
        GatewayProcess(project(tmp_path).root).stop()


def test_a_canary_under_load_answers_each_key_with_its_arm(settings: Settings) -> None:
    routes = deploy(settings, -1.0, -2.0, shares=(0.7, 0.3))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        for n in range(300):
            _, document = caller.infer(f"f{n}", key=f"traveller-{n}")
            arm = choose(routes, f"traveller-{n}")
            assert document["parameters"]["arm"] == arm.name
            assert document["model_version"] == str(arm.version)
            assert document["outputs"][0]["data"] == [tree_score({1: -1.0, 2: -2.0}[arm.version])]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_answered_before_the_flush_interval_survives_a_kill(settings: Settings, seed: int) -> None:
    gateway = GatewayProcess(settings.root, port=0).start()
    load = Load(gateway.url)
    time.sleep(0.5 + random.Random(seed).random())
    killed = time.monotonic()
    gateway.kill()
    load.end()
    kept = {each["id"] for each in logged(settings)}
    slack = settings.gateway.flush_ms / 1000 + 0.2  # for a disk that is slow to sync
    old = {name for at, name, status, _ in load.answers if status == 200 and at < killed - slack}
    assert len(old) > 50
    assert old - kept == set()


def test_a_caller_that_never_ends_its_request_does_not_hold_the_stop_for_ever(
    gateway: GatewayProcess,
) -> None:
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as slow:
        slow.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf")
        begun = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - begun < 12


def test_the_gateway_ends_with_the_process_that_started_it(settings: Settings) -> None:
    program = (
        "import sys; from pathlib import Path; from esteira.serving.process import GatewayProcess\n"
        "gateway = GatewayProcess(Path(sys.argv[1]), port=0).start()\n"
        "print(gateway.pid, gateway.url, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(settings.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    workers = children(int(pid))
    with Caller(url) as caller:
        assert caller.infer("f1")[0] == 200
    parent.kill()
    parent.wait()
    assert until(lambda: not any(map(is_running, [int(pid), *workers])))
    assert [each["id"] for each in logged(settings)] == ["f1"]


def test_workers_end_with_their_first_process_and_the_port_is_free_again(settings: Settings) -> None:
    gateway = GatewayProcess(settings.root, port=0).start()
    port = urlsplit(gateway.url).port
    workers = children(gateway.pid)
    with Caller(gateway.url) as caller:
        assert caller.infer("f1")[0] == 200
    os.kill(gateway.pid, signal.SIGKILL)
    assert until(lambda: not any(map(is_running, workers)))
    assert [each["id"] for each in logged(settings)] == ["f1"]
    with GatewayProcess(settings.root, port=port) as again, Caller(again.url) as caller:
        assert caller.infer("f2")[0] == 200


def test_a_worker_that_was_killed_is_replaced_and_its_counts_stay(gateway: GatewayProcess) -> None:
    with Caller(gateway.url) as caller:
        assert caller.infer("f1")[0] == 200
    (worker,) = children(gateway.pid)
    os.kill(worker, signal.SIGKILL)
    assert until(lambda: children(gateway.pid) not in ([worker], []))

    def answers() -> bool:
        try:
            with Caller(gateway.url) as caller:
                return caller.infer("f2")[0] == 200
        except OSError:
            return False

    assert until(answers)
    with Caller(gateway.url) as caller:
        text = caller.ask("GET", "/metrics")[1]
    assert 'version="1",variant="champion",protocol="oip",code="200"} 2' in text


def test_two_workers_agree_on_every_arm_and_count_as_one(tmp_path: Path) -> None:
    settings = project(tmp_path, TWO_WORKERS)
    routes = deploy(settings, -1.0, -2.0, shares=(0.5, 0.5))
    with GatewayProcess(settings.root, port=0) as gateway:
        assert len(children(gateway.pid)) == 2
        for n in range(60):
            with Caller(gateway.url) as caller:  # a connection of its own: either worker may take it
                _, document = caller.infer(f"f{n}", key=f"k{n % 10}")
                assert document["parameters"]["arm"] == choose(routes, f"k{n % 10}").name
        with Caller(gateway.url) as caller:
            lines = caller.ask("GET", "/metrics")[1].splitlines()
        counts = [
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith("esteira_requests_total") and 'code="200"' in line and 'model="late"' in line
        ]
        assert sum(counts) == 60
        assert len(list((settings.home / "gateway").glob("*/*.names"))) == 2
    assert len(logged(settings)) == 60


def test_more_models_than_fit_in_memory_are_served_as_they_are_asked_for(tmp_path: Path) -> None:
    settings = project(tmp_path, '[project]\nname = "m0"\n[gateway]\nmemory_mb = 1\n')
    artifacts, routes = ArtifactStore(settings.store("artifacts")), RouteStore(settings.store("state"))
    for n in range(30):
        routes.set(deployment(artifacts, tree_model(-1.0 - n), name=f"m{n}"))
    row = {"dataframe_records": [{"miles": 100, "carrier": "UA"}]}
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert caller.ask("GET", "/v2/health/ready")[0] == 200
        for n in [*range(30), *range(30)]:
            inputs = [
                {"name": "miles", "shape": [1], "datatype": "FP64", "data": [100]},
                {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
            ]
            status, document = caller.ask("POST", f"/v2/models/m{n}/infer", {"inputs": inputs})
            assert (status, document["outputs"][0]["data"]) == (200, [tree_score(-1.0 - n)])
        assert caller.ask("POST", "/invocations", row) == (200, {"predictions": [tree_score(-1.0)]})
        lines = caller.ask("GET", "/metrics")[1].splitlines()
    held = [line for line in lines if line.startswith("esteira_model_info") and line.endswith(" 1")]
    assert 5 < len(held) < 25
