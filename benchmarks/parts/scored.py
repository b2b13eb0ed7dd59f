"""The models that servers are measured with, in files that every server can read, and the rows they score.

A folder holds one pipeline of a scaler and a logistic regression as `logreg.json` (its numbers),
`logreg.skops` and `logreg.onnx`, and `lightgbm.txt` (200 trees of 31 leaves), `rows.npy` (1,000 rows of 30
features) and `scores.json`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import skops.io
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FEATURES, ROWS, TRAINING = 30, 1000, 5000
NAMES = tuple(f"f{at}" for at in range(FEATURES))
MODELS = ("logreg", "lightgbm", "onnx")
TREES, LEAVES = 200, 31


def write_models(folder: Path, seed: int = 7) -> None:
    """Train and write."""
    features, labels = _training(seed)
    fitted = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]).fit(features, labels)
    rows = features[:ROWS]
    np.save(folder / "rows.npy", rows)
    trees = _trees(features, labels)
    trees.save_model(folder / "lightgbm.txt")
    scaler, model = fitted["scale"], fitted["model"]
    numbers = {
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
        "coefficients": model.coef_[0].tolist(),
        "intercept": float(model.intercept_[0]),
        "rows": TRAINING,
    }
    skops.io.dump(fitted, folder / "logreg.skops")
    (folder / "logreg.json").write_text(json.dumps(numbers), encoding="utf-8")
    kind = [("input", FloatTensorType([None, FEATURES]))]
    graph = to_onnx(fitted, initial_types=kind, options={"zipmap": False})
    (folder / "logreg.onnx").write_bytes(graph.SerializeToString())
    linear = fitted.predict_proba(rows)[:, 1].tolist()
    scores = {"logreg": linear, "onnx": linear, "lightgbm": trees.predict(rows).tolist()}
    (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")


def read_rows(folder: Path) -> list[list[float]]:
    """The rows as plain numbers."""
    found: NDArray[np.float64] = np.load(folder / "rows.npy")
    return found.tolist()


def read_scores(folder: Path, model: str) -> list[float]:
    """What a model says of each row, by the library that trained it."""
    found: dict[str, list[float]] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return found[model]


def bodies(rows: list[list[float]]) -> dict[str, bytes]:
    """The same rows in the formats of servers, by name."""
    shape = [len(rows), FEATURES]
    tensor = {"name": "input", "shape": shape, "datatype": "FP64", "data": rows}
    formats = {
        "inputs": {"inputs": rows},
        "frame": {"dataframe_split": {"columns": NAMES, "data": rows}},
        "oip": {"inputs": [tensor]},
    }
    return {name: json.dumps(value).encode() for name, value in formats.items()}


def tree_text(trees: int, seed: int = 7) -> str:
    """LightGBM's text of a model of so many trees; another seed gives another model."""
    features, labels = _training(seed)
    return _trees(features, labels, trees).model_to_string()


def _training(seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    chance = np.random.default_rng(seed)
    features = np.round(chance.normal(size=(TRAINING, FEATURES)), 6)
    return features, features[:, :5].sum(axis=1) + chance.normal(size=TRAINING) > 0


def _trees(features: NDArray[np.float64], labels: NDArray[np.bool_], trees: int = TREES) -> lightgbm.Booster:
    parameters = {"objective": "binary", "num_leaves": LEAVES, "num_threads": 1, "verbosity": -1, "seed": 7}
    return lightgbm.train(parameters, lightgbm.Dataset(features, labels), trees)
