"""Where runs and model versions are kept, opened by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.registry.backends.port import Backend

_MLFLOW = "esteira.registry.backends.mlflow:MlflowBackend"
_BACKENDS = {"mlflow": _MLFLOW, "http": _MLFLOW, "https": _MLFLOW}


def open_backend(url: str, *, home: Path) -> Backend:
    """The tracking and registry store at `url`; nothing is loaded or reached before its first use.

    `mlflow:` is the server of MLFLOW_TRACKING_URI or, without that variable, a SQLite file in `home`;
    `http://host:5000` is that server. Raises: UnknownScheme.
    """
    backend: Backend = open_by_scheme(_BACKENDS, url, home=home)
    return backend
