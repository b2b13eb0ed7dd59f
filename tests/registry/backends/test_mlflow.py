"""The MLflow backend: the contract on a local SQLite and on a server, and what MLflow's own tools see."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import mlflow
import numpy as np
import pandas as pd
import pytest
from tests.contracts.backend import BackendContract, bundle_of, finished
from tests.contracts.trainer import flights, signature_of

from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput, CorruptArtifact, ServiceUnreachable, StorageUnwritable
from esteira.base.records import Run, RunStatus
from esteira.registry.backends import open_backend
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.registry.backends.mlflow import MlflowBackend

ROOT = Path(__file__).parents[3]


@pytest.fixture
def local(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowBackend:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(database, home)
    return open_backend("mlflow:", home=home)  # type: ignore[return-value]


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


class TestMlflowOnSqlite(BackendContract):
    @pytest.fixture
    def backend(self, local: MlflowBackend) -> MlflowBackend:
        return local

    def test_a_flipped_byte_in_a_stored_bundle_is_found(
        self, local: MlflowBackend, name: str, tmp_path: Path
    ) -> None:
        self.register(local, name, tmp_path / "bundle")
        folder = local.fetch(name, 1)
        payload = folder / "model.json5"
        payload.write_bytes(payload.read_bytes()[:-1] + b"!")
        with pytest.raises(CorruptArtifact, match=f"the bundle of {name} version 1 is corrupt"):
            local.fetch(name, 1)

    def test_a_registration_that_was_killed_before_its_version_can_be_repeated(
        self, local: MlflowBackend, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("esteira.registry.backends.mlflow._create_version", killed)
            with pytest.raises(KeyboardInterrupt):
                self.register(local, name, tmp_path / "a")
        assert local.versions(name) == []
        assert self.register(local, name, tmp_path / "b").version == 1


@pytest.mark.slow
class TestMlflowOnAServer(BackendContract):
    @pytest.fixture
    def backend(self, server: tuple[str, Path], tmp_path: Path) -> MlflowBackend:
        return open_backend(server[0], home=tmp_path / "home")  # type: ignore[return-value]

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
        return json.load(response)  # type: ignore[no-any-return]


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


@pytest.fixture
def client(local: MlflowBackend) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(local.uri, local.uri)


def test_a_run_shows_what_was_recorded(local: MlflowBackend, client: mlflow.MlflowClient) -> None:
    run_id = local.record_run(
        Run("20130401T120000-ab", "late", RunStatus.FAILED, finished("", "").started_at, error="step x: no"),
        metrics={"roc_auc": 0.75, "odd": float("nan")},
        parameters={
            "seed": 7,
            "until": datetime(2013, 4, 1, tzinfo=UTC),
            "months": (1, 2),
            "url": "lightgbm:",
        },
        tags={"esteira.gates": "failed"},
    )
    run = client.get_run(run_id)
    assert run.info.run_name == "20130401T120000-ab"
    assert run.info.status == "FAILED"
    assert datetime.fromtimestamp(run.info.start_time / 1000, UTC) == datetime(2013, 4, 1, 12, tzinfo=UTC)
    assert run.data.metrics["roc_auc"] == 0.75
    assert np.isnan(run.data.metrics["odd"])
    assert run.data.params == {
        "seed": "7",
        "until": "2013-04-01T00:00:00+00:00",
        "months": "[1, 2]",
        "url": "lightgbm:",
    }
    assert run.data.tags["esteira.error"] == "step x: no"
    assert run.data.tags["esteira.gates"] == "failed"


def test_more_than_one_batch_is_recorded_whole(local: MlflowBackend, client: mlflow.MlflowClient) -> None:
    metrics = {f"m{at:04d}": at / 7 for at in range(1100)}
    parameters = {f"p{at:03d}": at for at in range(250)}
    tags = {f"t{at:03d}": str(at) for at in range(120)}
    run = client.get_run(
        local.record_run(finished("r", "late"), metrics=metrics, parameters=parameters, tags=tags)
    )
    assert run.data.metrics == metrics
    assert run.data.params == {name: str(value) for name, value in parameters.items()}
    assert tags.items() <= run.data.tags.items()


def test_a_project_deleted_in_the_ui_is_restored(local: MlflowBackend, client: mlflow.MlflowClient) -> None:
    local.record_run(finished("a", "late"), metrics={}, parameters={}, tags={})
    client.delete_experiment(client.get_experiment_by_name("late").experiment_id)
    run_id = local.record_run(finished("b", "late"), metrics={"x": 1.0}, parameters={}, tags={})
    assert client.get_run(run_id).data.metrics == {"x": 1.0}


@pytest.mark.parametrize("trainer", ["lightgbm:", "sklearn:"])
def test_mlflow_loads_a_champion_by_its_alias_and_predicts_the_same(
    trainer: str, local: MlflowBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = flights(300).rename_columns(["miles", "gust", "carrier", "dest", "late"])
    model = fit(trainer, table, signature_of(table, ("miles", "gust", "carrier")), seed=7)
    bundle, digest = bundle_of(model, tmp_path / "bundle")
    run_id = local.record_run(finished("r", "late"), metrics={}, parameters={}, tags={})
    local.register("late", bundle, mlflow_run=run_id, digest=digest, metrics={"roc_auc": 0.8}, tags={})
    local.set_alias("late", "champion", 1)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", local.uri)
    loaded = mlflow.pyfunc.load_model("models:/late@champion")
    matrix = model.signature.encode_table(table)
    told = loaded.predict(pd.DataFrame(matrix, columns=[*model.signature.names]))
    if trainer == "lightgbm:":
        expected = mlflow.lightgbm.load_model("models:/late/1").predict(matrix)
    else:
        expected = mlflow.sklearn.load_model("models:/late/1").predict_proba(matrix)
    assert np.array_equal(told, expected)
    assert loaded.metadata.get_input_schema().input_names() == ["miles", "gust", "carrier"]


def test_a_registered_model_is_shown_as_the_output_of_its_run(
    local: MlflowBackend, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    contract = TestMlflowOnSqlite()
    made = contract.register(local, "late", tmp_path / "bundle")
    (run,) = client.search_runs([client.get_experiment_by_name("late").experiment_id])
    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert logged.status == "READY"
    assert {metric.key: metric.value for metric in logged.metrics} == {"roc_auc": 0.75, "brier": 0.25}
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "late", "version": made.version}]
    assert client.get_model_version("late", "1").run_id == run.info.run_id


def test_versions_that_others_made_are_listed_without_digest_and_not_fetched(
    local: MlflowBackend, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    client.create_registered_model("late")
    client.create_model_version("late", (tmp_path / "elsewhere").as_uri(), tags={"by": "hand"})
    (foreign,) = local.versions("late")
    assert (foreign.digest, foreign.run_id, foreign.metrics, foreign.tags) == ("", "", {}, {"by": "hand"})
    with pytest.raises(BadInput, match="esteira did not register it"):
        local.fetch("late", 1)


def test_nothing_is_written_beside_the_home(
    local: MlflowBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "mlruns" / "0").mkdir(parents=True)  # a stale store that would confuse MLflow's defaults
    (elsewhere / "mlruns" / "0" / "meta.yaml").write_text("experiment_id: 0")
    monkeypatch.chdir(elsewhere)
    TestMlflowOnSqlite().register(local, "late", tmp_path / "bundle")
    assert sorted(p.name for p in elsewhere.rglob("*")) == ["0", "meta.yaml", "mlruns"]
    kept = {p.name.removesuffix("-wal").removesuffix("-shm") for p in local.home.iterdir()}
    assert kept == {"mlartifacts", "mlflow.db", "mlflow.lock"}


def test_opening_reaches_nothing_and_loads_nothing() -> None:
    code = (
        "import sys; from pathlib import Path; from esteira.registry import open_backend;"
        "open_backend('http://127.0.0.1:1', home=Path('nowhere'));"
        "assert 'mlflow' not in sys.modules and not Path('nowhere').exists()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dead_server_is_known_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ana:secret@{address}")
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable, match="start it or correct its URL") as dead:
        open_backend("mlflow:", home=tmp_path).names()
    assert time.monotonic() - began < 3
    assert dead.value.address == f"http://{address}"
    assert "secret" not in str(dead.value)


def test_a_home_that_is_a_file_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "home").write_text("")
    with pytest.raises(StorageUnwritable):
        open_backend("mlflow:", home=tmp_path / "home").names()


def test_a_database_that_is_none_is_said_to_be_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(CorruptArtifact, match="expected a SQLite database"):
        open_backend("mlflow:", home=tmp_path).names()


def test_a_database_of_another_mlflow_says_how_to_migrate_it(local: MlflowBackend) -> None:
    with sqlite3.connect(local.home / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0'")
    connection.close()
    with pytest.raises(BadInput, match="mlflow db upgrade"):
        local.names()


_GUARDED = """
import os, sys
from pathlib import Path
def guard(event, arguments):
    if event == "socket.getaddrinfo" or event == "socket.connect" and arguments[0].family != 1:
        os.write(2, f"network: {event} {arguments}".encode()); os._exit(3)
sys.addaudithook(guard)
from esteira.registry.backends import open_backend
from tests.contracts.backend import *
home = Path(sys.argv[1])
backend = open_backend("mlflow:", home=home)
BackendContract().register(backend, "late", home / "bundle")
backend.fetch("late", 1)
import time; time.sleep(1)  # a telemetry thread would wake
"""


def run_code(code: str, *arguments: object, wait: bool = True) -> subprocess.Popen[str]:
    hidden = (
        "PYTEST_CURRENT_TEST",
        "CI",
        "GITHUB_ACTIONS",
        "MLFLOW_",
        "DO_NOT_TRACK",
    )  # switch telemetry off
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)} | {
        "PYTHONPATH": str(ROOT)
    }
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if wait:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert errors == ""
    return process


@pytest.mark.slow
def test_no_word_leaves_the_machine_and_none_is_printed(tmp_path: Path) -> None:
    run_code(_GUARDED, tmp_path)


@pytest.mark.slow
def test_processes_that_open_an_empty_home_at_once_share_one_database(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from esteira.registry.backends import open_backend;"
        "from tests.contracts.backend import *;"
        "BackendContract().record(open_backend('mlflow:', home=Path(sys.argv[1])), 'late', sys.argv[2])"
    )
    processes = [run_code(code, tmp_path / "home", f"run-{at}", wait=False) for at in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("late").experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["run-0", "run-1", "run-2"]


@pytest.mark.slow
def test_a_kill_during_the_migrations_leaves_no_half_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code = (
        "import sys; from pathlib import Path; from esteira.registry.backends import open_backend;"
        "open_backend('mlflow:', home=Path(sys.argv[1])).names()"
    )
    process = run_code(code, tmp_path, wait=False)
    while not list(tmp_path.glob(".tmp-*/mlflow.db")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "mlflow.db").exists()
    assert open_backend("mlflow:", home=tmp_path).names() == []
