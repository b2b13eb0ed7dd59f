"""MLflow's own loaders read the bundles of the newer runtimes where they stand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from onnx import TensorProto, helper

from esteira.registry.bundle import Model
from esteira.registry.mlmodel import BUNDLE, Origin, mlmodel_files
from esteira.registry.signature import Column, Signature

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SIGNATURE = Signature(tuple(Column(f"x{n}") for n in range(3)), "late")
MATRIX = np.random.default_rng(0).normal(size=(60, 3))


def folder(model: Model, place: Path) -> str:
    (place / BUNDLE).mkdir()
    model.save(place / BUNDLE)
    origin = Origin("m-1", "r-1", place.as_uri(), datetime(2013, 1, 1, tzinfo=UTC), mlflow.__version__)
    for name, content in mlmodel_files(model, "d" * 64, origin).items():
        (place / name).write_bytes(content)
    return str(place)


@pytest.mark.parametrize(("form", "payload"), [("ubj", "model.ubj"), ("json", "booster.json")])
def test_mlflow_loads_trees_of_xgboost(tmp_path: Path, form: str, payload: str) -> None:
    booster = xgboost.train(
        {"objective": "binary:logistic"}, xgboost.DMatrix(MATRIX, (MATRIX[:, 0] > 0).astype(int)), 3
    )
    content = bytes(booster.save_raw(form))
    facts = {"library_version": xgboost.__version__}
    place = folder(Model("xgboost", SIGNATURE, {payload: content}, facts), tmp_path)
    expected = booster.predict(xgboost.DMatrix(MATRIX))
    np.testing.assert_array_equal(mlflow.xgboost.load_model(place).predict(xgboost.DMatrix(MATRIX)), expected)
    table = pd.DataFrame(MATRIX, columns=list(SIGNATURE.names))
    booster_of_names = mlflow.pyfunc.load_model(place)
    np.testing.assert_array_equal(booster_of_names.predict(table), expected)


def test_mlflow_loads_a_graph_of_onnx(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph([helper.make_node("ReduceMax", ["x"], ["y"], axes=[1])], "g", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    place = folder(Model("onnx", SIGNATURE, {"model.onnx": made.SerializeToString()}), tmp_path)
    assert isinstance(mlflow.onnx.load_model(place), onnx.ModelProto)
