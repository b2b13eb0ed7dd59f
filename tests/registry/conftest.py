"""What the registry's tests share."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from esteira.registry.backends import open_backend

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.registry.backends.mlflow import MlflowBackend


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database, empty: its second of migrations is paid once for all tests."""
    home = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_backend("mlflow:", home=home).names()
    return home / "mlflow.db"


@pytest.fixture
def local(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowBackend:
    """A backend in a folder of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(database, home)
    return open_backend("mlflow:", home=home)
