"""The servers that are measured, each a process of its own that is started, asked and ended."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.peers import python_of

from esteira.serving.load.processes import family

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

SCRIPTS = Path(__file__).parents[1] / "peers"
START_S, STOP_S = 90.0, 8.0
_LOOK_S = 0.005


class DidNotStart(Exception):
    """A server that ended, or gave no good answer in time."""


@dataclass(frozen=True, slots=True)
class Server:
    """How a server is run and asked; its body is one of `scored.bodies`."""

    name: str
    format: str
    command: Callable[[Path, str, int], Sequence[str]]  # of the folder of models, the model and the port
    peer: str = ""  # its environment in .peers; ours without one
    path: str = "/invocations"
    environment: Callable[[Path, str], Mapping[str, str]] = lambda _folder, _model: {}
    headers: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ("logreg", "lightgbm", "onnx")

    @property
    def is_installed(self) -> bool:
        """Whether its environment is there."""
        return not self.peer or python_of(self.peer) is not None


class Running:
    """A server that was started: its port, and how long it took to give its first good answer."""

    def __init__(self, server: Server, folder: Path, model: str, body: bytes) -> None:
        self.server, self.port = server, free_port()
        self._body = body
        command = list(server.command(folder, model, self.port))
        environment = {**_environment(server.peer), **server.environment(folder, model)}
        self._log = (folder / f"{server.name}.log").open("ab")
        started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=SCRIPTS if server.peer else None,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            self.answer = self._first_answer(started + START_S)
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - started

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a body. Raises: OSError, HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            headers = {"content-type": "application/json", **self.server.headers}
            connection.request("POST", self.server.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def recover(self) -> None:
        """Wait until it answers as it did; one that was paused may think at first that it is overloaded."""
        good, deadline = 0, time.perf_counter() + STOP_S
        while good < 3 and time.perf_counter() < deadline:
            with suppress(OSError, http.client.HTTPException):
                good = good + 1 if self.ask(self._body)[0] == 200 else 0

    def stop(self) -> None:
        """End it, by force if it does not; it was started in a session of its own."""
        for pid in family(self.process.pid):  # those that were paused must hear
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        for name, seconds in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, name)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
                break
        with suppress(ProcessLookupError):  # children that it left behind
            os.killpg(self.process.pid, signal.SIGKILL)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _first_answer(self, deadline: float) -> bytes:
        said = "nothing"
        while time.perf_counter() < deadline:
            try:
                status, body = self.ask(self._body)
            except (OSError, http.client.HTTPException):
                pass
            else:
                if status == 200:
                    return body
                said = f"{status} {body[:200]!r}"
            if self.process.poll() is not None:
                raise DidNotStart(f"{self.server.name} ended with exit code {self.process.returncode}")
            time.sleep(_LOOK_S)
        raise DidNotStart(f"{self.server.name} said {said} until its time was over")


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def scores_in(body: bytes) -> list[float]:
    """The scores in an answer of any of the servers; of two classes those of the second."""
    said = json.loads(body)
    if "outputs" in said:
        first = said["outputs"][0]
        width = first["shape"][1] if len(first["shape"]) > 1 else 1
        return [float(each) for each in _flat(first["data"])[width - 1 :: width]]
    found = said["predictions"]
    if isinstance(found, dict):  # ONNX in MLflow: every output by name
        found = found["probabilities"]
    return [float(each[-1] if isinstance(each, list) else each) for each in found]


def _flat(values: Any) -> list[float]:  # noqa: ANN401 - JSON
    return [each for row in values for each in _flat(row)] if isinstance(values, list) else [values]


def _environment(peer: str) -> dict[str, str]:
    """Of this process, with one thread to a kernel, no reports home, and the peer's own commands first."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"}
    found = {name: value for name, value in os.environ.items() if name not in dropped}
    found |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    found |= {"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0"}
    found |= {"MLFLOW_DISABLE_TELEMETRY": "true", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
    python = python_of(peer) if peer else None
    if python is not None:
        found["PATH"] = f"{python.parent}{os.pathsep}{found.get('PATH', '')}"
    return found


def told(*command: str, peer: str) -> None:
    """Run a script of a peer to its end. Raises: DidNotStart."""
    done = subprocess.run(
        [str(python_of(peer)), *command],
        check=False,
        env=_environment(peer),
        cwd=SCRIPTS,
        capture_output=True,
    )
    if done.returncode:
        tail = done.stderr.decode(errors="replace").strip().splitlines()
        raise DidNotStart(tail[-1] if tail else f"exit code {done.returncode}")


def script(peer: str, name: str) -> Callable[[Path, str, int], Sequence[str]]:
    """The command of a peer's own script."""

    def command(folder: Path, model: str, port: int) -> Sequence[str]:
        return str(python_of(peer)), str(SCRIPTS / name), str(folder), model, str(port)

    return command


def _mlflow(kind: str) -> Callable[[Path, str, int], Sequence[str]]:
    def command(folder: Path, model: str, port: int) -> Sequence[str]:
        target = folder / f"mlflow-{model}-{kind}"
        if not target.exists():
            told(str(SCRIPTS / "mlflow_model.py"), str(folder), model, kind, str(target), peer="mlflow")
        serve = f"-m mlflow models serve -m {target} -h 127.0.0.1 -p {port} --env-manager local -w 1"
        return str(python_of("mlflow")), *serve.split()

    return command


def _bento(_folder: Path, _model: str, port: int) -> Sequence[str]:
    serve = f"-m bentoml serve bentoml_service:Scorer --host 127.0.0.1 --port {port}"
    return str(python_of("bentoml")), *serve.split()


def _bento_environment(folder: Path, model: str) -> Mapping[str, str]:
    return {"SCORER_FOLDER": str(folder), "SCORER_MODEL": model, "BENTOML_HOME": str(folder / "bentoml")}


def _echo(_folder: Path, _model: str, port: int) -> Sequence[str]:
    return sys.executable, "-m", "benchmarks.parts.echo", str(port)


MLFLOW = Server("mlflow", "inputs", _mlflow("tensor"), "mlflow")
MLFLOW_FRAME = Server("mlflow_frame", "frame", _mlflow("frame"), "mlflow", models=("logreg", "lightgbm"))
MODEL_SERVERS = (
    Server("bentoml", "inputs", _bento, "bentoml", environment=_bento_environment),
    Server("litserve", "inputs", script("litserve", "litserve_server.py"), "litserve"),
    Server("mlserver", "oip", script("mlserver", "mlserver_server.py"), "mlserver", "/v2/models/model/infer"),
    Server("ray", "inputs", script("ray", "ray_server.py"), "ray"),
)
FASTAPI = Server("fastapi", "inputs", script("fastapi", "fastapi_server.py"), "fastapi")
ECHO = Server("echo", "inputs", _echo)  # the bytes that ours takes
PEERS = (MLFLOW, MLFLOW_FRAME, *MODEL_SERVERS, FASTAPI)
