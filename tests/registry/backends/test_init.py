"""Opening a backend by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import UnknownScheme
from esteira.registry.backends import open_backend
from esteira.registry.backends.mlflow import MlflowBackend

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("mlflow:", "sqlite:///{home}/mlflow.db"),
        ("mlflow:sqlite:////srv/x.db", "sqlite:////srv/x.db"),
        ("http://tracking.example:5000", "http://tracking.example:5000"),
        ("https://tracking.example", "https://tracking.example"),
    ],
)
def test_a_url_says_where_runs_and_versions_are_kept(
    url: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    backend = open_backend(url, home=tmp_path)
    assert isinstance(backend, MlflowBackend)
    assert backend.uri == uri.format(home=tmp_path)


def test_the_variable_counts_only_where_the_url_names_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://a.example")
    assert open_backend("mlflow:", home=tmp_path).uri == "http://a.example"
    assert open_backend("http://b.example", home=tmp_path).uri == "http://b.example"


def test_an_unknown_scheme_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownScheme, match="http, https, mlflow"):
        open_backend("wandb:", home=tmp_path)
