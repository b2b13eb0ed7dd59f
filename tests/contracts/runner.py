"""What every runner of pipelines does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.execution import StepFailed, Task, WrongOutput
from esteira.pipelines.step import step

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.pipelines.runners.port import Runner


@step
def total(rows: list[int], more: int = 0) -> int:
    return sum(rows) + more


@step
def broken(rows: list[int]) -> int:
    raise ValueError(f"{len(rows)} rows are too few")


@step
def wrong() -> int:
    return "text"


class RunnerContract:
    """Subclass it and say how to open the runner."""

    def open(self, artifacts: ArtifactStore) -> Runner:
        raise NotImplementedError

    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> ArtifactStore:
        return ArtifactStore(f"file:{tmp_path}/artifacts")

    def test_a_task_comes_back_with_its_stored_value(self, artifacts: ArtifactStore) -> None:
        runner = self.open(artifacts)
        runner.submit(Task(total, {"rows": [1, 2], "more": 3}))
        done = runner.wait()
        runner.close()
        assert (done.step, done.error) == ("total", None)
        assert done.kept is not None
        assert done.kept.value == artifacts.get(done.kept.artifact) == 6
        assert done.seconds >= 0

    def test_an_error_of_a_step_comes_back_as_data(self, artifacts: ArtifactStore) -> None:
        runner = self.open(artifacts)
        for task, kind in ((Task(broken, {"rows": []}), StepFailed), (Task(wrong, {}), WrongOutput)):
            runner.submit(task)
            done = runner.wait()
            assert done.kept is None
            assert type(done.error) is kind
        runner.close()

    def test_as_many_tasks_as_it_has_slots_come_back_each_once(self, artifacts: ArtifactStore) -> None:
        runner = self.open(artifacts)
        assert runner.slots >= 1
        for at in range(runner.slots):
            runner.submit(Task(total, {"rows": [at]}))
        found = [runner.wait().kept for _ in range(runner.slots)]
        runner.close()
        assert sorted(kept.value for kept in found if kept is not None) == list(range(runner.slots))
