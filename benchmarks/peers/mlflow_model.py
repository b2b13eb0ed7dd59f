"""Writes a model as `mlflow models serve` takes it: `mlflow_model.py FOLDER MODEL tensor|frame TARGET`."""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.types import Schema, TensorSpec
from scorers import pipeline


def save(folder: Path, model: str, target: str, example: object) -> None:
    """Write the model with the signature of an example."""
    signature = infer_signature(example)
    if isinstance(example, np.ndarray):
        dtype = np.dtype(np.float32) if model == "onnx" else np.dtype(np.float64)
        signature.inputs = Schema([TensorSpec(dtype, (-1, example.shape[1]))])
    if model == "logreg":
        mlflow.sklearn.save_model(
            pipeline(folder), target, signature=signature, pyfunc_predict_fn="predict_proba"
        )
    elif model == "lightgbm":
        from lightgbm import Booster

        found = Booster(model_file=str(folder / "lightgbm.txt"), params={"num_threads": 1})
        mlflow.lightgbm.save_model(found, target, signature=signature)
    else:
        import onnx

        options = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
        graph = onnx.load(folder / "logreg.onnx")
        mlflow.onnx.save_model(graph, target, signature=signature, onnx_session_options=options)


def main() -> None:
    """Save one."""
    folder, model, kind, target = sys.argv[1:]
    rows = np.load(Path(folder) / "rows.npy")[:5]
    names = [f"f{at}" for at in range(rows.shape[1])]
    save(Path(folder), model, target, rows if kind == "tensor" else pd.DataFrame(rows, columns=names))


if __name__ == "__main__":
    main()
