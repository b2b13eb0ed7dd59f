"""The MLflow backend: the contract on a local SQLite and on a server, and what MLflow's own tools see."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
import pytest
from tests.contracts.backend import BackendContract, bundle_of, finished
from tests.contracts.trainer import flights, signature_of

from esteira.base.errors import (
    BadInput,
    CorruptArtifact,
    MissingExtra,
    ServiceUnreachable,
    StorageUnwritable,
)
from esteira.base.records import Run, RunStatus
from esteira.registry.backends import open_backend
from esteira.training.encodings import Target
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from esteira.registry.backends.mlflow import MlflowBackend
    from esteira.training.encodings import Encoding

ROOT = Path(__file__).parents[3]


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
@pytest.mark.parametrize(
    ("encode", "asked"), [({}, "carrier"), ({"carrier": Target()}, "carrier~target")], ids=["raw", "encoded"]
)
def test_mlflow_loads_a_champion_by_its_alias_and_predicts_the_same(
    trainer: str,
    encode: dict[str, Encoding],
    asked: str,
    local: MlflowBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = flights(300).rename_columns(["miles", "gust", "carrier", "dest", "late"])
    model = fit(trainer, table, signature_of(table, ("miles", "gust", "carrier")), seed=7, encode=encode)
    bundle, digest = bundle_of(model, tmp_path / "bundle")
    run_id = local.record_run(finished("r", "late"), metrics={}, parameters={}, tags={})
    local.register("late", bundle, mlflow_run=run_id, digest=digest, metrics={"roc_auc": 0.8}, tags={})
    local.set_alias("late", "champion", 1)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", local.uri)
    loaded = mlflow.pyfunc.load_model("models:/late@champion")
    matrix = model.signature.encode_table(table)
    if model.encodings:
        matrix = model.encodings.encode_matrix(matrix)
    told = loaded.predict(pd.DataFrame(matrix, columns=[*model.native_signature.names]))
    if trainer == "lightgbm:":
        expected = mlflow.lightgbm.load_model("models:/late/1").predict(matrix)
    else:
        expected = mlflow.sklearn.load_model("models:/late/1").predict_proba(matrix)
    assert np.array_equal(told, expected)
    assert loaded.metadata.get_input_schema().input_names() == ["miles", "gust", asked]


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


def test_without_the_extra_the_first_use_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    backend = open_backend("mlflow:", home=tmp_path)
    with pytest.raises(MissingExtra, match=r"pip install 'esteira-ml\[mlflow\]'"):
        backend.names()


def test_a_dead_server_is_known_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_again:
        address = f"127.0.0.1:{closed_again.getsockname()[1]}"
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
