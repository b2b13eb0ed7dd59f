"""The face of the registry room."""

from __future__ import annotations

import subprocess
import sys

import esteira.registry


def test_every_name_of_the_face_is_there() -> None:
    assert all(hasattr(esteira.registry, name) for name in esteira.registry.__all__)
    assert list(esteira.registry.__all__) == sorted(esteira.registry.__all__)


def test_the_face_loads_no_vendor() -> None:
    code = "import esteira.registry, sys; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"mlflow", "lightgbm", "sklearn", "skops", "sqlalchemy"} & set(loaded.split())
