"""Models of each form, made as a stranger would, imported into a project and asked there."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.project.worlds import DAY, answer, clock_of
from tests.serving.foreign import doubling, examples, pickled, wild

from esteira.base.errors import BadInput, NotFound
from esteira.project.importing import Imported, Wish, import_model
from esteira.project.registering import Papers, register_alone
from esteira.project.release import deploy, load_model
from esteira.project.station import open_station
from esteira.project.watch import watch
from esteira.serving.runtimes import open_runtime, open_tensor_runtime
from esteira.serving.runtimes.permission import PyfuncNotAllowed

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.station import Station


def allowing(folder: Path) -> Station:
    """The station of a project that lets pyfunc models run."""
    path = folder / "esteira.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[gateway]", "[gateway]\nallow_pyfunc = true"), encoding="utf-8")
    return open_station(folder)


@cache
def trees() -> Any:
    import lightgbm

    matrix, labels = examples()
    data = lightgbm.Dataset(matrix, labels, feature_name=["a", "b", "c"])
    return lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, 5)


def asked(station: Station, found: Imported, *row: float) -> float:
    return open_runtime(load_model(station, found.version)).predict_row([*row])


def test_the_text_of_trees_brings_its_columns_along(fresh: Path, tmp_path: Path) -> None:
    station = open_station(fresh, actor="ana")
    (tmp_path / "trees.txt").write_text(trees().model_to_string(), encoding="utf-8")
    found = import_model(station, tmp_path / "trees.txt", Wish(target="failed", reason="from the other team"))
    assert (found.runtime, found.inputs, found.is_tensors) == ("lightgbm", ("a", "b", "c"), False)
    assert asked(station, found, 1.0, 2.0, 3.0) == trees().predict([[1.0, 2.0, 3.0]])[0]
    model = load_model(station, found.version)
    assert (model.signature.target, model.facts) == ("failed", {"imported_from": "trees.txt"})
    assert found.version.tags["esteira.gates"] == "not judged"
    assert station.routes.known("pump") == {1: found.version.digest}
    (event,) = station.audit.events()
    assert (event.action, event.actor, event.reason) == ("model.register", "ana", "from the other team")
    assert import_model(station, tmp_path / "trees.txt", Wish(target="failed")).version.version == 1


def test_a_file_of_columns_says_kinds_and_categories(fresh: Path, tmp_path: Path) -> None:
    station = open_station(fresh)
    (tmp_path / "trees.txt").write_text(trees().model_to_string(), encoding="utf-8")
    kinds = ["load", {"name": "site", "kind": "category", "categories": ["S0", "S1"]}, "heat"]
    (tmp_path / "columns.json").write_text(json.dumps(kinds), encoding="utf-8")
    found = import_model(station, tmp_path / "trees.txt", Wish(columns=tmp_path / "columns.json"))
    assert load_model(station, found.version).signature.columns[1].categories == ("S0", "S1")
    (tmp_path / "columns.json").write_text('["load"]', encoding="utf-8")
    with pytest.raises(Exception, match="expected 1 columns, found 3"):
        import_model(station, tmp_path / "trees.txt", Wish(columns=tmp_path / "columns.json"))


def test_boosted_trees_of_xgboost_come_as_json_and_as_ubj(fresh: Path, tmp_path: Path) -> None:
    import xgboost

    station, (matrix, labels) = open_station(fresh), examples()
    data = xgboost.DMatrix(matrix, labels, feature_names=["a", "b", "c"])
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 5)
    expected = booster.predict(xgboost.DMatrix(matrix[:1], feature_names=["a", "b", "c"]))[0]
    for name in ("trees.json", "trees.ubj"):
        booster.save_model(tmp_path / name)
        found = import_model(station, tmp_path / name, Wish())
        assert (found.runtime, found.inputs) == ("xgboost", ("a", "b", "c"))
        assert asked(station, found, *matrix[0]) == pytest.approx(expected, abs=1e-7)


def test_a_skops_file_takes_the_signature_of_a_version_and_its_reference_for_drift(
    station: Station, tmp_path: Path
) -> None:
    import skops.io
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    signature = load_model(station, station.version(1)).signature
    matrix = np.random.default_rng(0).normal(size=(50, len(signature.columns)))
    line = make_pipeline(SimpleImputer(), LogisticRegression()).fit(matrix, matrix[:, 0] > 0)
    (tmp_path / "line.skops").write_bytes(skops.io.dumps(line))
    with pytest.raises(BadInput, match="does not say what its columns are; name them with --like"):
        import_model(station, tmp_path / "line.skops", Wish())
    found = import_model(station, tmp_path / "line.skops", Wish(like=1))
    assert load_model(station, found.version).signature == signature
    assert set(load_model(station, found.version).files) == {"model.skops", "terms.json"}
    assert found.version.tags["esteira.reference"] == station.version(1).tags["esteira.reference"]
    assert asked(station, found, *matrix[0]) == pytest.approx(line.predict_proba(matrix[:1])[0, 1])


def graph(path: Path) -> Path:
    from onnx import TensorProto, helper, save_model

    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 2])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])
    node = helper.make_node("ReduceMax", ["rows"], ["score"], axes=[1], keepdims=1)
    made = helper.make_graph([node], "max", [rows], [score])
    save_model(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_a_graph_is_one_of_tensors_or_of_the_columns_that_are_named(fresh: Path, tmp_path: Path) -> None:
    station, path = open_station(fresh), graph(tmp_path / "max.onnx")
    found = import_model(station, path, Wish())
    assert (found.runtime, found.inputs, found.is_tensors) == ("onnx", ("rows",), True)
    model = load_model(station, found.version)
    rows = np.array([[1, 2], [5, 4]], dtype=np.float32)
    assert open_tensor_runtime(model).run({"rows": rows})["score"].tolist() == [[2], [5]]
    (tmp_path / "columns.json").write_text('["x", "y"]', encoding="utf-8")
    found = import_model(station, path, Wish(columns=tmp_path / "columns.json"))
    assert (found.inputs, found.is_tensors) == (("x", "y"), False)
    assert asked(station, found, 1.0, 2.0) == 2.0


def test_what_is_broken_or_doubly_said_registers_nothing(fresh: Path, tmp_path: Path) -> None:
    station = open_station(fresh)
    text = trees().model_to_string()
    (tmp_path / "cut.txt").write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(Exception, match="corrupt"):
        import_model(station, tmp_path / "cut.txt", Wish())
    with pytest.raises(BadInput, match="--like and --columns both name the columns"):
        import_model(station, tmp_path / "cut.txt", Wish(like=1, columns=tmp_path / "c.json"))
    with pytest.raises(NotFound, match="version '7 of model pump'"):
        import_model(station, tmp_path / "cut.txt", Wish(like=7))
    assert station.registry.versions("pump") == []
    assert list(station.audit.events()) == []


def test_a_champion_without_reference_and_metrics_is_served_and_not_watched(station: Station) -> None:
    model = replace(load_model(station, station.version(1)), facts={"imported_from": "elsewhere"})
    version = register_alone(station, "import", model, Papers("from elsewhere", {}))
    deploy(station, version.version, "it is said to be better")
    answer(station, 4)
    assert watch(station, clock_of(station).now() + DAY) == []


@pytest.mark.slow
def test_a_pickled_model_is_imported_only_where_it_may_run(fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "columns.json").write_text('["a", "b", "c"]', encoding="utf-8")
    wish = Wish(columns=tmp_path / "columns.json")
    with pytest.raises(PyfuncNotAllowed):
        import_model(open_station(fresh), pickled(), wish)
    station = allowing(fresh)
    found = import_model(station, pickled(), wish)
    assert (found.runtime, found.inputs) == ("pyfunc", ("a", "b", "c"))
    assert 0 < asked(station, found, 1.0, 2.0, 3.0) < 1


@pytest.mark.slow
def test_a_column_of_texts_needs_its_categories(fresh: Path, tmp_path: Path) -> None:
    station = allowing(fresh)
    with pytest.raises(BadInput, match="column 'c' is a string, and its categories are not in the MLmodel"):
        import_model(station, wild(), Wish())


@pytest.mark.slow
def test_an_mlflow_model_of_tensors_is_served_as_one(fresh: Path) -> None:
    station = allowing(fresh)
    found = import_model(station, doubling(), Wish())
    assert (found.runtime, found.inputs, found.is_tensors) == ("pyfunc", ("input",), True)


@pytest.mark.slow
def test_of_an_mlflow_model_of_trees_the_native_file_is_taken(fresh: Path, tmp_path: Path) -> None:
    import mlflow.lightgbm
    from mlflow.types import ColSpec, Schema

    signature = mlflow.models.ModelSignature(Schema([ColSpec("double", name) for name in "abc"]))
    kept = {"signature": signature, "pip_requirements": ["lightgbm"]}
    mlflow.lightgbm.save_model(trees(), tmp_path / "m", **kept)
    station = open_station(fresh)  # which allows no pyfunc
    found = import_model(station, tmp_path / "m", Wish())
    assert (found.runtime, found.inputs) == ("lightgbm", ("a", "b", "c"))
    assert asked(station, found, 1.0, 2.0, 3.0) == trees().predict([[1.0, 2.0, 3.0]])[0]
