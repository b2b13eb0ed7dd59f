"""The face of the room."""

from __future__ import annotations

import subprocess
import sys

from esteira import pipelines


def test_everything_that_the_face_names_is_there_and_sorted() -> None:
    assert sorted(pipelines.__all__) == pipelines.__all__
    assert all(hasattr(pipelines, name) for name in pipelines.__all__)


def test_the_face_loads_no_vendor() -> None:
    code = (
        "import sys, esteira.pipelines; "
        "print(*sorted({'pyarrow', 'numpy', 'pandas', 'deltalake', 'duckdb', 'lightgbm', 'sklearn', 'mlflow',"
        " 'granian', 'lmdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
