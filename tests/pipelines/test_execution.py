"""One step, executed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pytest

from esteira.base.errors import StorageUnwritable
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.execution import StepFailed, Task, WrongOutput, execute
from esteira.pipelines.step import Step, step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Stubborn:
    def save(self, folder: Path) -> None:
        raise RuntimeError("not today")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls()


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file:{tmp_path}/artifacts")


def failure(function: Step[..., Any], artifacts: ArtifactStore, **arguments: object) -> StepFailed:
    error = execute(Task(function, arguments), artifacts).error
    assert isinstance(error, StepFailed)
    return error


def test_a_step_that_raises_is_named_with_its_words_and_the_line_of_project_code(
    artifacts: ArtifactStore,
) -> None:
    @step
    def model() -> int:
        return int(json.loads("[1,"))  # the innermost frames are Python's own

    error = failure(model, artifacts)
    line = model.function.__code__.co_firstlineno + 2
    assert str(error).startswith("step 'model' failed: JSONDecodeError: Expecting value")
    assert str(error).endswith(f"({__file__}:{line})")
    assert isinstance(error.__cause__, json.JSONDecodeError)


@pytest.mark.parametrize(
    ("returned", "declared", "expected", "found"),
    [
        ({"a": [1]}, pa.Table, "Table", "dict {'a': [1]}"),
        ("high", float, "float", "str 'high'"),
        (None, int, "int", "NoneType"),
        ({"auc": "high"}, dict[str, float], "dict[str, float]", "dict {'auc': 'high'}"),
        (pa.table({"a": [1]}), dict, "dict", "pyarrow.lib.Table"),
        (object(), object, "a pyarrow.Table, JSON values", "a object: object is no JSON value"),
        (float("nan"), float, "a pyarrow.Table, JSON values", "not JSON compliant"),
    ],
)
def test_a_wrong_output_names_step_expected_and_found(
    artifacts: ArtifactStore, returned: object, declared: Any, expected: str, found: str
) -> None:
    def model():  # noqa: ANN202 - its annotation is set by the test
        return returned

    model.__annotations__["return"] = declared
    error = failure(Step("model", model), artifacts)
    assert isinstance(error, WrongOutput)
    assert error.step == "model"
    assert expected in error.expected
    assert found in error.found
    assert f"must return {error.expected}, but returned {error.found}" in str(error)
    assert artifacts.count() == 0


def test_a_result_that_cannot_save_itself_fails_its_step(artifacts: ArtifactStore) -> None:
    @step
    def model() -> Stubborn:
        return Stubborn()

    assert "could not be saved: RuntimeError: not today" in str(failure(model, artifacts))
    assert list((artifacts.root / ".scratch").iterdir()) == []


def test_a_step_is_tried_again_as_often_as_it_says(artifacts: ArtifactStore) -> None:
    calls: list[int] = []

    def shaky(times: int) -> Callable[[], int]:
        def model() -> int:
            calls.append(1)
            if len(calls) < times:
                raise OSError("busy")
            return len(calls)

        return model

    done = execute(Task(Step("model", shaky(3), retries=2), {}), artifacts)
    assert done.kept is not None
    assert done.kept.value == 3
    calls.clear()
    assert "OSError: busy" in str(failure(Step("model", shaky(3), retries=1), artifacts))
    assert len(calls) == 2


def test_a_wrong_output_is_not_tried_again(artifacts: ArtifactStore) -> None:
    calls: list[int] = []

    @step(retries=3)
    def model() -> int:
        calls.append(1)
        return "text"

    assert isinstance(failure(model, artifacts), WrongOutput)
    assert len(calls) == 1


def test_a_full_disk_is_no_fault_of_the_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    @step
    def model() -> int:
        return 1

    done = execute(Task(model, {}), ArtifactStore(f"file:{tmp_path}/file/artifacts"))
    assert isinstance(done.error, StorageUnwritable)
