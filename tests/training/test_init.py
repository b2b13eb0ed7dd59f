"""The face of the training room."""

from __future__ import annotations

import subprocess
import sys

import esteira.training


def test_every_name_of_the_face_is_there() -> None:
    assert all(hasattr(esteira.training, name) for name in esteira.training.__all__)
    assert list(esteira.training.__all__) == sorted(esteira.training.__all__)


def test_the_face_loads_no_vendor() -> None:
    code = "import esteira.training, sys; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"lightgbm", "sklearn", "skops", "mlflow", "pandas"} & set(loaded.split())
