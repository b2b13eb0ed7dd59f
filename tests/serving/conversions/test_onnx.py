"""The pipelines that are trained here, and others, as graphs, judged by the gate."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.contracts.trainer import ENCODE, flights, signature_of

from esteira.base.digest import digest_bytes, digest_folder
from esteira.base.errors import UnknownName
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.conversions import convert, digest_of
from esteira.serving.conversions.onnx import to_onnx
from esteira.serving.conversions.parity import Limits, ParityFailed, TooFewRows
from esteira.serving.conversions.port import NotConvertible
from esteira.serving.runtimes import open_runtime
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NUMBERS = Signature(tuple(Column(f"x{n}", optional=True) for n in range(3)), "late")


@cache
def trained(*, encoded: bool = False) -> Model:
    table = flights(600)
    return fit("sklearn:", table, signature_of(table), seed=7, encode=ENCODE if encoded else None)


@cache
def recorded() -> NDArray[np.float64]:
    table = flights(300, seed=11)
    rows = signature_of(table).encode_table(table)
    rows[:5] = np.nan  # of each column, a missing value
    return rows


def stored(*steps: Any) -> Model:
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(size=(200, 3))
    matrix[drawn.random(matrix.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(matrix[:, 0]) > 0).astype(int)
    return Model(
        "sklearn", NUMBERS, {"model.skops": skops.io.dumps(make_pipeline(*steps).fit(matrix, labels))}
    )


def numbers(rows: int = 200) -> NDArray[np.float64]:
    drawn = np.random.default_rng(1)
    matrix = drawn.normal(size=(rows, 3))
    matrix[drawn.random(matrix.shape) < 0.2] = np.nan
    return matrix


def test_a_pipeline_of_the_trainer_keeps_its_scores_to_the_last_digits() -> None:
    made = convert(trained(), "onnx", recorded())
    assert made.model.runtime == "onnx"
    assert list(made.model.files) == ["model.onnx"]
    assert made.parity.rows == 300
    assert made.parity.greatest < 1e-14
    assert made.parity.changed == 0
    assert made.model.signature == trained().signature


def test_the_facts_say_from_what_it_was_made_and_how_it_was_judged(tmp_path: Path) -> None:
    trained().save(tmp_path)
    made = convert(trained(), "onnx", recorded())
    facts = made.model.facts
    assert facts["converted_from"] == digest_folder(tmp_path)
    assert (facts["parity_rows"], facts["parity_greatest"]) == (300, made.parity.greatest)
    assert facts["precision"] == "float64"
    assert facts["seed"] == 7  # what the trainer said stays


def test_a_model_with_encodings_keeps_them_and_converts_what_is_behind() -> None:
    model = trained(encoded=True)
    made = convert(model, "onnx", recorded())
    assert made.model.encodings == model.encodings
    assert made.model.signature == model.signature
    assert made.parity.greatest < 1e-14


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_row_scores_alike(data: st.DataObject) -> None:
    before, after = _both()
    miles, gust = (data.draw(st.floats(-1e3, 1e3) | st.just(np.nan)) for _ in range(2))
    row = [miles, gust, *(data.draw(st.sampled_from([np.nan, 0.0, 1.0])) for _ in range(2))]
    assert after.predict_row(row) == pytest.approx(before.predict_row(row), abs=1e-12)


@cache
def _both() -> tuple[Any, Any]:
    return open_runtime(trained()), open_runtime(convert(trained(), "onnx", recorded()).model)


@pytest.mark.slow
def test_equal_models_give_equal_bytes_in_another_process_too(tmp_path: Path) -> None:
    trained().save(tmp_path)
    program = (
        "import sys\nfrom pathlib import Path\nfrom esteira.base.digest import digest_bytes\n"
        "from esteira.registry.bundle import Model\nfrom esteira.serving.conversions.onnx import to_onnx\n"
        "print([digest_bytes(form.files['model.onnx']) for form in to_onnx(Model.load(Path(sys.argv[1])))])"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert said.strip() == str([digest_bytes(form.files["model.onnx"]) for form in to_onnx(trained())])
    made = [digest_of(convert(trained(), "onnx", recorded()).model) for _ in range(2)]
    assert made[0] == made[1]


def test_a_graph_names_no_machine_no_time_and_no_version() -> None:
    for form in to_onnx(trained()):
        graph = onnx.load_from_string(form.files["model.onnx"])
        onnx.checker.check_model(graph)
        assert (graph.producer_name, graph.producer_version, graph.doc_string) == ("skl2onnx", "", "")
        assert {each.domain for each in graph.opset_import} == {"", "ai.onnx.ml"}


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("mark", [True, False])
def test_an_imputer_fills_marks_and_drops_as_scikit_learn_does(*, keep: bool, mark: bool) -> None:
    drawn = np.random.default_rng(0)
    matrix = numbers()
    matrix[:, 1] = np.nan  # nothing was ever seen there
    imputer = SimpleImputer(add_indicator=mark, keep_empty_features=keep)
    labels = (drawn.random(200) > 0.5).astype(int)
    with np.errstate(all="ignore"):
        pipeline = make_pipeline(imputer, StandardScaler(), LogisticRegression()).fit(matrix, labels)
    model = Model("sklearn", NUMBERS, {"model.skops": skops.io.dumps(pipeline)})
    assert convert(model, "onnx", matrix).parity.greatest < 1e-13


def test_a_classifier_of_another_kind_converts_too() -> None:
    made = convert(stored(SimpleImputer(), PCA(2), GaussianNB()), "onnx", numbers(), Limits(1e-4))
    assert made.parity.greatest <= 1e-4


def test_a_form_that_skl2onnx_gets_wrong_does_not_pass() -> None:
    # Of two classes it takes a softmax where scikit-learn takes a logistic function.
    model = stored(SimpleImputer(), LinearDiscriminantAnalysis())
    with pytest.raises(ParityFailed, match=r"apart with a tolerance of 1e-06; 0 of 200 recorded rows"):
        convert(model, "onnx", numbers())


def test_a_regression_converts_too() -> None:
    made = convert(stored(SimpleImputer(), StandardScaler(), LinearRegression()), "onnx", numbers())
    assert made.parity.greatest < 1e-12


def test_float32_is_taken_only_when_float64_cannot_be_had_and_the_gate_judges_it() -> None:
    model = stored(SimpleImputer(), StandardScaler(), GaussianNB())
    made = convert(model, "onnx", numbers(), Limits(tolerance=1e-4))
    assert made.parity.greatest <= 1e-4


def test_what_skl2onnx_does_not_know_is_told_with_its_words() -> None:
    from sklearn.decomposition import FactorAnalysis

    with pytest.raises(NotConvertible, match=r"skl2onnx says: .*FactorAnalysis"):
        convert(stored(SimpleImputer(), FactorAnalysis(2), LogisticRegression()), "onnx", numbers())


def test_what_loses_its_scores_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = stored(SimpleImputer(), StandardScaler(), LogisticRegression()), numbers()
    # Fills what is missing with something else than the model does.
    monkeypatch.setattr(np, "nan_to_num", lambda values: np.zeros_like(values) + 9)
    with pytest.raises(ParityFailed, match="apart with a tolerance of 1e-06"):
        convert(model, "onnx", rows)


def test_fewer_rows_than_say_something_are_refused() -> None:
    with pytest.raises(TooFewRows, match="at least 100 recorded rows, found 99"):
        convert(trained(), "onnx", recorded()[:99])


def test_an_unknown_form_and_an_unfit_model_are_bad_input() -> None:
    with pytest.raises(UnknownName, match="did you mean 'onnx'"):
        convert(trained(), "onx", recorded())
    with pytest.raises(NotConvertible, match="only scikit-learn"):
        next(to_onnx(Model("lightgbm", NUMBERS, {})))
    tensors = TensorSignature((TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),))
    with pytest.raises(NotConvertible, match="model of tensors"):
        convert(Model("onnx", Signature((), "y"), {}, tensors=tensors), "onnx", recorded())


@pytest.mark.slow
def test_trees_compiled_score_as_trees_read() -> None:
    table = flights(600)
    model = fit("lightgbm:", table, signature_of(table), seed=7, threads=1, max_rounds=20)
    made = convert(model, "lleaves", recorded())
    assert made.model.files == model.files
    assert made.parity.greatest < 1e-12
