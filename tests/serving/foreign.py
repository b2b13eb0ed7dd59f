"""Models that MLflow saved, as a stranger would: each made once for all tests, and only when one asks."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.serving.runtimes.permission import Permission, _said, permit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

COLUMNS = ("a", "b", "c")

# What the first number of a row asks of it; other numbers are answered by a tenth of themselves.
WILD = """
import os
import sys
import time

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Wild(PythonModel):
    def predict(self, context, model_input, params=None):
        print("this is on standard output", flush=True)
        asked = float(model_input["a"].iloc[0])
        if asked == 1:
            raise ValueError("one is not\\nto my taste")
        if asked == 2:
            time.sleep(600)
        if asked == 3:
            os._exit(3)
        if asked == 4:
            sys.exit(4)
        if asked == 5:
            return {"score": 1}
        if asked == 6:
            return np.full(len(model_input), np.nan)
        if asked == 7:
            return os.getpid() + 0 * model_input["a"].to_numpy()
        if asked == 8:
            assert "ESTEIRA_SECRET" not in os.environ
        return pd.DataFrame({"score": model_input["a"] / 10})


set_model(Wild())
"""

TENSORS = """
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Doubling(PythonModel):
    def predict(self, context, model_input, params=None):
        if model_input.shape[0] == 3:
            return model_input[:, 0]
        return 2 * model_input


set_model(Doubling())
"""


@cache
def _home() -> Path:
    return Path(tempfile.mkdtemp(prefix="esteira-foreign-"))


def examples(rows: int = 400) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    drawn = np.random.default_rng(5)
    matrix = drawn.normal(scale=3, size=(rows, len(COLUMNS)))
    matrix[drawn.random(matrix.shape) < 0.1] = np.nan
    return matrix, (np.nan_to_num(matrix[:, 0]) + drawn.normal(scale=9, size=rows) > 0).astype(np.int64)


@cache
def trees() -> Any:
    """A fitted classifier that needs a pickle, and whose sums have one order however many rows there are."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=2, random_state=0).fit(*examples())


@cache
def pickled() -> Path:
    """Its MLflow model folder; it says nothing of its inputs."""
    import mlflow.sklearn

    folder = _home() / "pickled"
    kept = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]}
    mlflow.sklearn.save_model(trees(), folder, pyfunc_predict_fn="predict_proba", **kept)
    return folder


@cache
def wild() -> Path:
    """A model that does what models do: it raises, hangs, exits and answers nonsense; with typed columns."""
    from mlflow.types import ColSpec, Schema

    columns = [ColSpec("double", "a"), ColSpec("long", "b"), ColSpec("string", "c", required=False)]
    return _from_code("wild", WILD, Schema(columns), None)


@cache
def doubling() -> Path:
    """A model of one tensor without a name."""
    from mlflow.types import Schema, TensorSpec

    tensor = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
    return _from_code("doubling", TENSORS, tensor, tensor)


def _from_code(name: str, code: str, inputs: Any, outputs: Any) -> Path:
    import mlflow.pyfunc
    from mlflow.models import ModelSignature

    folder, script = _home() / name, _home() / f"{name}.py"
    script.write_text(code, encoding="utf-8")
    signature = ModelSignature(inputs, outputs)
    mlflow.pyfunc.save_model(
        folder, python_model=str(script), signature=signature, pip_requirements=["mlflow"]
    )
    return folder


@contextmanager
def allowed(seconds: float = 60.0) -> Iterator[None]:
    """What `allow_pyfunc = true` does, for as long as the block."""
    before = _said[0]
    permit(Permission(is_given=True, seconds=seconds))
    try:
        yield
    finally:
        permit(before)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
