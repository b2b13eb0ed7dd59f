"""The files that MLflow reads beside a bundle. That MLflow loads them is shown in backends/test_mlflow.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml

from esteira.registry.bundle import SKOPS_TYPES, Model
from esteira.registry.encodings import Encodings, Kept, Marked
from esteira.registry.mlmodel import Origin, mlmodel_files
from esteira.registry.signature import Column, Signature
from esteira.registry.tensors import TensorSignature, TensorSpec

SIGNATURE = Signature((Column("miles"), Column("carrier", "category", ("AA",))), "late")
ORIGIN = Origin(
    "m-1", "run-1", "file:///m-1", datetime(2013, 4, 1, 9, tzinfo=timezone(-timedelta(hours=3))), "3.17.2"
)


def files(runtime: str, **facts: object) -> dict[str, bytes]:
    return mlmodel_files(Model(runtime, SIGNATURE, {"x": b""}, facts), "d" * 64, ORIGIN)


def card(runtime: str, **facts: object) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(files(runtime, **facts)["MLmodel"])
    return read


@pytest.mark.parametrize("runtime", ["lightgbm", "sklearn", "onnx", "xgboost", "torch", "another"])
def test_the_card_says_where_the_model_comes_from(runtime: str) -> None:
    read = card(runtime)
    assert read["model_id"] == "m-1"
    assert read["run_id"] == "run-1"
    assert read["utc_time_created"] == "2013-04-01 12:00:00.000000"
    assert read["metadata"] == {"esteira_bundle": "esteira", "esteira_digest": "d" * 64}
    assert [each["name"] for each in json.loads(read["signature"]["inputs"])] == ["miles", "carrier"]


def test_mlflow_is_told_the_columns_that_the_native_files_ask_for() -> None:
    model = Model("lightgbm", SIGNATURE, {"x": b""}, {}, Encodings((Kept(), Marked((0,)))))
    read = yaml.safe_load(mlmodel_files(model, "d" * 64, ORIGIN)["MLmodel"])
    assert [each["name"] for each in json.loads(read["signature"]["inputs"])] == ["miles", "carrier=AA"]


@pytest.mark.parametrize(
    ("runtime", "payload", "key"),
    [("lightgbm", "esteira/model.txt", "data"), ("sklearn", "esteira/model.skops", "pickled_model")],
)
def test_a_flavor_points_into_the_bundle(runtime: str, payload: str, key: str) -> None:
    flavors = card(runtime, library_version="9.9.9")["flavors"]
    assert flavors[runtime][key] == payload
    assert flavors["python_function"]["loader_module"] == f"mlflow.{runtime}"
    assert flavors["esteira"] == {"runtime": runtime, "bundle": "esteira"}


def test_skops_is_told_exactly_the_types_that_we_trust() -> None:
    native = card("sklearn")["flavors"]["sklearn"]
    assert native["serialization_format"] == "skops"
    assert native["skops_trusted_types"] == [*SKOPS_TYPES]


@pytest.mark.parametrize("runtime", ["another", "torch", "pyfunc"])
def test_a_runtime_that_mlflow_does_not_know_or_would_unpickle_gets_no_loader(runtime: str) -> None:
    assert card(runtime)["flavors"] == {"esteira": {"runtime": runtime, "bundle": "esteira"}}


@pytest.mark.parametrize("payload", ["model.ubj", "booster.json"])
def test_xgboost_is_pointed_to_the_file_that_is_there(payload: str) -> None:
    model = Model("xgboost", SIGNATURE, {payload: b""}, {"library_version": "3.2.0"})
    read = yaml.safe_load(mlmodel_files(model, "d" * 64, ORIGIN)["MLmodel"])["flavors"]
    assert read["xgboost"]["data"] == f"esteira/{payload}"
    assert read["python_function"]["loader_module"] == "mlflow.xgboost"


def test_compiled_trees_are_read_by_lightgbm_itself() -> None:
    flavors = card("lleaves")["flavors"]
    assert flavors["lightgbm"]["data"] == "esteira/model.txt"
    assert flavors["python_function"]["loader_module"] == "mlflow.lightgbm"


def test_onnx_gets_its_native_loader_only() -> None:
    flavors = card("onnx")["flavors"]
    assert flavors["onnx"]["data"] == "esteira/model.onnx"
    assert "python_function" not in flavors


def test_a_model_of_tensors_tells_mlflow_its_tensors() -> None:
    tensors = TensorSignature(
        (TensorSpec("pixels", "FP32", (-1, 4)), TensorSpec("text", "BYTES", (-1,))),
        (TensorSpec("label", "INT64", (-1,)),),
    )
    model = Model("onnx", Signature((), "late"), {"model.onnx": b""}, tensors=tensors)
    read = yaml.safe_load(mlmodel_files(model, "d" * 64, ORIGIN)["MLmodel"])["signature"]
    assert [each["tensor-spec"] for each in json.loads(read["inputs"])] == [
        {"dtype": "float32", "shape": [-1, 4]},
        {"dtype": "str", "shape": [-1]},
    ]
    assert json.loads(read["outputs"])[0]["name"] == "label"


@pytest.mark.parametrize(
    ("runtime", "facts", "expected"),
    [
        ("lightgbm", {"library_version": "4.7.0"}, ["mlflow", "pandas", "lightgbm==4.7.0"]),
        ("sklearn", {"library_version": "1.9.1"}, ["mlflow", "pandas", "scikit-learn==1.9.1", "skops"]),
        ("lightgbm", {}, ["mlflow", "pandas", "lightgbm"]),
        ("another", {}, ["mlflow"]),
    ],
)
def test_the_environments_ask_for_the_library_that_trained(
    runtime: str, facts: dict[str, object], expected: list[str]
) -> None:
    made = files(runtime, **facts)
    assert made["requirements.txt"].decode().split() == expected
    assert yaml.safe_load(made["conda.yaml"])["dependencies"][-1] == {"pip": expected}
    assert yaml.safe_load(made["python_env.yaml"])["dependencies"] == ["-r requirements.txt"]


def test_the_same_model_gives_the_same_files() -> None:
    assert files("lightgbm") == files("lightgbm")
    assert ORIGIN.created_at.astimezone(UTC).hour == 12
