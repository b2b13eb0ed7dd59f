"""The models of the benchmark as a peer's own Python holds them: rows of floats in, one score a row out.

Numbers and native files come from a folder that benchmarks/parts/scored.py wrote; nothing is unpickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Rows = list[list[float]]


def pipeline(folder: Path) -> Any:  # noqa: ANN401 - scikit-learn ships no types
    """The scikit-learn pipeline, with what its training found."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    told = json.loads((folder / "logreg.json").read_text(encoding="utf-8"))
    scaler, model = StandardScaler(), LogisticRegression()
    scaler.mean_, scaler.scale_ = np.array(told["mean"]), np.array(told["scale"])
    scaler.var_ = scaler.scale_**2
    scaler.n_samples_seen_ = told["rows"]
    model.classes_ = np.array([0, 1])
    model.coef_, model.intercept_ = np.array([told["coefficients"]]), np.array([told["intercept"]])
    model.n_iter_ = np.array([1])
    scaler.n_features_in_ = model.n_features_in_ = len(told["mean"])
    return Pipeline([("scale", scaler), ("model", model)])


def logreg(folder: Path) -> Callable[[Rows], list[float]]:
    """Scores of the pipeline."""
    found = pipeline(folder)
    return lambda rows: found.predict_proba(np.array(rows))[:, 1].tolist()


def lightgbm(folder: Path) -> Callable[[Rows], list[float]]:
    """Scores of the trees."""
    from lightgbm import Booster

    found = Booster(model_file=str(folder / "lightgbm.txt"), params={"num_threads": 1})
    return lambda rows: found.predict(np.array(rows), num_threads=1).tolist()


def onnx(folder: Path) -> Callable[[Rows], list[float]]:
    """Scores of the pipeline as ONNX, on one thread that does not spin."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(folder / "logreg.onnx"), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def score(rows: Rows) -> list[float]:
        found = session.run(["probabilities"], {name: np.array(rows, dtype=np.float32)})[0]
        return found[:, 1].tolist()

    return score


SCORERS = {"logreg": logreg, "lightgbm": lightgbm, "onnx": onnx}


def open_scorer(folder: str, model: str) -> Callable[[Rows], list[float]]:
    """The scorer of a model by name."""
    return SCORERS[model](Path(folder))
