"""What the registry's tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esteira.registry.backends import open_backend

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database, empty: its second of migrations is paid once for all tests."""
    home = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_backend("mlflow:", home=home).names()
    return home / "mlflow.db"
