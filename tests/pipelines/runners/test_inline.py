"""Steps in the process of the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contracts.runner import RunnerContract

from esteira.base.errors import UnknownScheme
from esteira.pipelines.execution import Task
from esteira.pipelines.runners import open_runner
from esteira.pipelines.step import step

if TYPE_CHECKING:
    from esteira.pipelines.artifacts import ArtifactStore
    from esteira.pipelines.runners.port import Runner


class TestInlineRunner(RunnerContract):
    def open(self, artifacts: ArtifactStore) -> Runner:
        return open_runner("inline", artifacts=artifacts)

    def test_an_interrupt_is_not_an_error_of_the_step(self, artifacts: ArtifactStore) -> None:
        @step
        def interrupted() -> int:
            raise KeyboardInterrupt

        runner = self.open(artifacts)
        runner.submit(Task(interrupted, {}))
        with pytest.raises(KeyboardInterrupt):
            runner.wait()

    def test_an_unknown_runner_is_refused(self, artifacts: ArtifactStore) -> None:
        with pytest.raises(UnknownScheme, match="use one of: inline"):
            open_runner("ray", artifacts=artifacts)
