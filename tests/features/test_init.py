"""The face of the features room."""

from __future__ import annotations

import subprocess
import sys

import pytest

import esteira.features
from esteira.base.errors import UnknownScheme
from esteira.features import open_store


def test_every_name_of_the_face_is_there() -> None:
    assert all(hasattr(esteira.features, name) for name in esteira.features.__all__)
    assert list(esteira.features.__all__) == sorted(esteira.features.__all__)


def test_the_face_loads_no_vendor() -> None:
    code = "import esteira.features, sys; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"duckdb", "lmdb", "deltalake", "pandas"} & set(loaded.split())


def test_a_store_is_opened_by_its_scheme() -> None:
    assert open_store("memory:").read("v", ()) is None
    with pytest.raises(UnknownScheme, match="lmdb, memory"):
        open_store("abacus:")
