from __future__ import annotations

import gc
import logging
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.contracts.runtime import RuntimeContract
from tests.serving.foreign import COLUMNS, allowed, doubling, is_there, pickled, trees, wild

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.runtimes import open_runtime, open_tensor_runtime
from esteira.serving.runtimes.child import ModelDied, ModelHung
from esteira.serving.runtimes.packing import pack_folder
from esteira.serving.runtimes.permission import Permission, PyfuncNotAllowed
from esteira.serving.runtimes.pyfunc import (
    ModelBusy,
    ModelNotLoaded,
    ModelRefused,
    PyfuncRuntime,
    UnusableAnswer,
    environment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from esteira.serving.runtimes.port import Runtime, TensorRuntime

SIGNATURE = Signature(tuple(Column(name, optional=True) for name in COLUMNS), "late")
WILD = Signature((Column("a"), Column("b"), Column("c", "category", ("x", "y"))), "late")
TENSORS = TensorSignature((TensorSpec("input", "FP32", (-1, 2)),), (TensorSpec("output", "FP32", (-1, 2)),))


@pytest.fixture(scope="module", autouse=True)
def _allowed() -> Iterator[None]:
    with allowed():
        yield


@cache
def of_trees() -> Model:
    return Model("pyfunc", SIGNATURE, {"model.tar": pack_folder(pickled())})


@cache
def of_wild() -> Model:
    return Model("pyfunc", WILD, {"model.tar": pack_folder(wild())})


@pytest.fixture(scope="module")
def tame() -> Iterator[PyfuncRuntime]:
    """One process for all tests that leave it alive."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESTEIRA_SECRET", "kept from models")
        runtime = open_runtime(of_wild())
    assert isinstance(runtime, PyfuncRuntime)
    yield runtime
    del runtime


def asks(what: float) -> list[float]:
    return [what, 0.0, 1.0]


def pid_of(runtime: PyfuncRuntime) -> int:
    return int(runtime.predict_row(asks(7)))


@pytest.mark.slow
class TestPickledTrees(RuntimeContract):
    is_exact = False  # of no pyfunc it is known

    def model(self) -> Model:
        return of_trees()

    def open(self) -> Runtime:
        return _of_trees()  # a process costs seconds

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(trees().predict_proba(matrix)[:, 1])

    def test_a_model_with_other_columns_than_its_signature_is_corrupt(self) -> None:
        with allowed(), pytest.raises(CorruptArtifact, match="columns"):
            open_runtime(replace(of_wild(), signature=Signature((Column("a"), Column("z")), "late")))


@cache
def _of_trees() -> Runtime:
    with allowed():
        return open_runtime(of_trees())


def test_without_permission_nothing_is_unpacked_or_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira.serving.runtimes.pyfunc.ScratchFolder", None)
    monkeypatch.setattr("esteira.serving.runtimes.permission._said", [Permission()])
    with pytest.raises(PyfuncNotAllowed, match="allow_pyfunc = true"):
        open_runtime(Model("pyfunc", SIGNATURE, {}))
    with pytest.raises(PyfuncNotAllowed):
        open_tensor_runtime(Model("pyfunc", SIGNATURE, {}, tensors=TENSORS))


def test_a_folder_without_an_mlmodel_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"x")
    with pytest.raises(CorruptArtifact, match="no MLmodel in it"):
        open_runtime(Model("pyfunc", SIGNATURE, {"model.tar": pack_folder(tmp_path)}))


def test_a_model_sees_one_thread_and_no_setting_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_STORES_STATE", "postgresql://user:secret@host/db")
    monkeypatch.setenv("HF_HOME", "/models")
    seen = environment()
    assert not [name for name in seen if name.startswith("ESTEIRA_")]
    assert (seen["OMP_NUM_THREADS"], seen["HF_HOME"]) == ("1", "/models")


GATEWAY = """
import os, sys
from pathlib import Path
from esteira.registry.bundle import Model
from esteira.serving.runtimes import open_runtime
from esteira.serving.runtimes.permission import Permission, permit
permit(Permission(True, 60))
runtime = open_runtime(Model.load(Path(sys.argv[1])))
print(int(runtime.predict_row([7.0, 0.0, 1.0])))
print(sorted({"mlflow", "pandas", "sklearn"} & set(sys.modules)), flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_gateway_loads_no_mlflow_and_when_it_is_killed_the_model_ends_with_it(tmp_path: Path) -> None:
    of_wild().save(tmp_path)
    command = [sys.executable, "-c", GATEWAY, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        pid, loaded = int(gateway.stdout.readline()), gateway.stdout.readline()
    assert loaded.strip() == "[]"
    deadline = time.monotonic() + 20
    while is_there(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_there(pid)


@pytest.mark.slow
def test_what_a_model_prints_does_not_disturb_and_typed_columns_get_their_types(tame: PyfuncRuntime) -> None:
    assert tame.predict_row([0.5, 3.0, 1.0]) == 0.05
    assert tame.predict(np.array([[0.5, 3.0, np.nan], [0.25, 4.0, 0.0]])).tolist() == [0.05, 0.025]
    assert tame.predict_row(asks(8)) == 0.8  # it has not seen the secret


@pytest.mark.slow
def test_what_a_model_raises_is_the_callers_and_its_trace_goes_to_the_log(
    tame: PyfuncRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    before = pid_of(tame)
    with caplog.at_level(logging.WARNING), pytest.raises(ModelRefused) as refused:
        tame.predict_row(asks(1))
    assert str(refused.value) == "the model refused the input: ValueError: one is not to my taste"
    assert isinstance(refused.value, BadInput)
    (said,) = [each for each in caplog.records if each.getMessage() == "a model raised"]
    assert "in predict" in vars(said)["trace"]
    with pytest.raises(ModelRefused, match="float64 to int64"):  # MLflow's own check of the columns
        tame.predict_row([0.0, 0.5, 0.0])
    assert pid_of(tame) == before


@pytest.mark.slow
@pytest.mark.parametrize(("what", "found"), [(5, "found a dict"), (6, "found 1 scores for 1 rows")])
def test_an_answer_that_is_no_score_is_not_the_callers_fault(
    tame: PyfuncRuntime, what: float, found: str
) -> None:
    with pytest.raises(UnusableAnswer, match=f"one finite number a row, {found}") as unusable:
        tame.predict_row(asks(what))
    assert not isinstance(unusable.value, BadInput)


@pytest.mark.slow
def test_a_model_that_ends_or_hangs_answers_with_that_and_the_next_call_has_a_new_one() -> None:
    with allowed():
        runtime = open_runtime(of_wild())
    assert isinstance(runtime, PyfuncRuntime)
    first, folder = pid_of(runtime), runtime._process._folder.path
    with pytest.raises(ModelDied, match="exit code 3"):
        runtime.predict_row(asks(3))
    second = pid_of(runtime)
    runtime._process.seconds = 0.5
    with pytest.raises(ModelHung, match=r"within 0\.5 s"):
        runtime.predict_row(asks(2))
    assert first != second
    assert not is_there(first)
    assert not is_there(second)
    assert (folder / "MLmodel").is_file()
    del runtime
    gc.collect()
    assert not folder.exists()


@pytest.mark.slow
def test_who_waits_for_the_others_waits_no_longer_than_a_call_may_take(
    tame: PyfuncRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tame._process, "seconds", 0.05)
    with tame._process._asking, pytest.raises(ModelBusy, match=r"busy for 0\.05 s"):
        tame.predict_row(asks(0.5))


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_bytes((wild() / "MLmodel").read_bytes())  # and not its code
    with pytest.raises(ModelNotLoaded, match=r"wild.*requirements\.txt"):
        open_runtime(Model("pyfunc", WILD, {"model.tar": pack_folder(tmp_path)}))


@pytest.fixture(scope="module")
def tensors() -> TensorRuntime:
    with allowed():
        model = Model(
            "pyfunc", Signature((), "late"), {"model.tar": pack_folder(doubling())}, tensors=TENSORS
        )
        return open_tensor_runtime(model)


@pytest.mark.slow
def test_a_model_of_tensors_takes_and_gives_arrays(tensors: TensorRuntime) -> None:
    given = np.array([[1, 2], [3, 4]], dtype=np.float32)
    found = tensors.run({"input": given})
    assert list(found) == ["output"]
    assert found["output"].dtype == np.float32
    assert found["output"].tolist() == [[2, 4], [6, 8]]


@pytest.mark.slow
def test_tensors_that_a_model_refuses_or_that_are_not_what_it_promised_are_told_apart(
    tensors: TensorRuntime,
) -> None:
    with pytest.raises(ModelRefused, match="float64"):
        tensors.run({"input": np.ones((1, 2))})
    with pytest.raises(
        UnusableAnswer, match=r"'output' of FP32 and shape \(-1, 2\), found float32 of shape \(3,\)"
    ):
        tensors.run({"input": np.ones((3, 2), dtype=np.float32)})
