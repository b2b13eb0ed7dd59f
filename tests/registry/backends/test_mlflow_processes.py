"""The MLflow backend under kills and among other processes, and that it calls nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from esteira.registry.backends import open_backend

ROOT = Path(__file__).parents[3]

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
