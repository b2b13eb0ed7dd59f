"""Asks MLflow's own scoring server and keeps its answers in corpus.json, beside the models it served.

    PYTHONHASHSEED=0 python tests/serving/http/golden/make.py

By hand, when MLflow's protocol may have changed: it needs MLflow and LightGBM. What MLflow says of the
machine that it runs on, the stack traces, is left out.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

import lightgbm
import mlflow
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import FLAVOR_NAME, PyFuncModel
from mlflow.pyfunc.scoring_server import init
from mlflow.types import ColSpec, Schema, TensorSpec
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[4]))
from tests.serving.http.golden.cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from tests.serving.http.golden.cases import Case

HERE = Path(__file__).parent
CARRIERS = ("AA", "UA", "WN")
LONGEST = 600  # characters of a message that are kept


class Served:
    """What MLflow calls to predict."""

    def __init__(self, of: Callable[[Any], Any]) -> None:
        self._of = of

    def predict(self, data: Any) -> Any:
        return self._of(data)


def trained(name: str, columns: Sequence[str], categories: Sequence[int] = ()) -> lightgbm.Booster:
    """A small model of noise, always the same; its text goes beside the corpus."""
    rng = np.random.default_rng(7)
    span = 1000 if categories else 10
    matrix = rng.uniform(0, span, (400, len(columns)))
    for at in categories:
        matrix[:, at] = rng.integers(0, len(CARRIERS), 400)
    shares = matrix / [len(CARRIERS) if at in categories else span for at in range(len(columns))]
    late = shares.sum(axis=1) + rng.normal(0, 0.1, 400) > len(columns) / 2
    data = lightgbm.Dataset(matrix, late, feature_name=[*columns], categorical_feature=[*categories])
    quiet = {"objective": "binary", "num_leaves": 6, "num_threads": 1, "verbose": -1, "seed": 7}
    booster = lightgbm.train({**quiet, "deterministic": True, "min_data_per_group": 5}, data, 8)
    (HERE / f"{name}.txt").write_text(booster.model_to_string())
    return booster


def frame_model(booster: lightgbm.Booster, names: Sequence[str]) -> Callable[[pd.DataFrame], Any]:
    """Its scores of a frame; categories become their codes, what is absent is missing."""

    def scores(frame: pd.DataFrame) -> Any:
        given = frame.reindex(columns=[*names])
        if "carrier" in names:
            codes = {name: float(code) for code, name in enumerate(CARRIERS)}
            given["carrier"] = [codes.get(each, np.nan) for each in given["carrier"]]
        return booster.predict(given.to_numpy(dtype=np.float64), num_threads=1)

    return scores


def clients() -> dict[str, TestClient]:
    """MLflow's server in this process for each model."""
    late, numbers, single = ["miles", "carrier", "gust"], ["a", "b", "c"], ["a"]
    optional = ColSpec("double", "gust", required=False)
    tensor = {
        "matrix": [TensorSpec(np.dtype("float64"), (-1, 3))],
        "pair": [TensorSpec(np.dtype("float32"), (-1, 2), "a"), TensorSpec(np.dtype("int64"), (-1,), "b")],
        "named": [TensorSpec(np.dtype("uint8"), (-1, 2, 2), "image")],
    }
    return {
        "late": client(
            [ColSpec("double", "miles"), ColSpec("string", "carrier"), optional],
            frame_model(trained("late", late, [1]), late),
        ),
        "numbers": client(
            [ColSpec("double", name) for name in numbers], frame_model(trained("numbers", numbers), numbers)
        ),
        "single": client([ColSpec("double", "a")], frame_model(trained("single", single), single)),
        "matrix": client(tensor["matrix"], lambda x: x.sum(axis=1)),
        "pair": client(tensor["pair"], lambda x: x["a"].sum(axis=1) + x["b"]),
        "named": client(tensor["named"], lambda x: x["image"].sum(axis=(1, 2), dtype=np.int64)),
    }


def client(inputs: list[Any], of: Callable[[Any], Any]) -> TestClient:
    """MLflow's server of one model."""
    card = Model()
    card.signature = ModelSignature(inputs=Schema(inputs))
    card.add_flavor(FLAVOR_NAME, loader_module="none")
    return TestClient(init(PyFuncModel(card, Served(of))), raise_server_exceptions=False)


def exchange(server: TestClient, case: Case) -> dict[str, Any]:
    """A request and its answer, as JSON values."""
    headers = {} if case.content_type is None else {"content-type": case.content_type}
    answer = server.request(case.method, case.path, content=case.body, headers=headers)
    try:
        said = {"body": case.body.decode()}
    except UnicodeDecodeError:
        said = {"base64": base64.b64encode(case.body).decode()}
    asked = {"method": case.method, "path": case.path, "content_type": case.content_type, **said}
    kind = answer.headers.get("content-type", "")
    response = {"status": answer.status_code, "content_type": kind, "body": readable(answer.text)}
    return {"name": case.name, "model": case.model, "request": asked, "response": response}


def readable(text: str) -> Any:
    """JSON as its values, without what differs from machine to machine."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and "message" in value:
        value["message"] = value["message"][:LONGEST]
        if "stack_trace" in value:
            value["stack_trace"] = "left out"
    return value


def main() -> None:
    """Write corpus.json."""
    warnings.simplefilter("ignore")
    logging.disable()
    servers = clients()
    exchanges = [exchange(servers[case.model], case) for case in CASES]
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in exchanges)
    text = f'{{"mlflow": "{mlflow.__version__}", "exchanges": [\n{lines}\n]}}\n'
    (HERE / "corpus.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
