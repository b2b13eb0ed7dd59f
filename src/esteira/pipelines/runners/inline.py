"""Steps in the process and thread of the driver, one after the other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from esteira.pipelines.execution import execute

if TYPE_CHECKING:
    from esteira.pipelines.artifacts import ArtifactStore
    from esteira.pipelines.execution import Done, Task


class InlineRunner:
    """Executes a task when it is waited for."""

    slots = 1

    def __init__(self, url: str, *, artifacts: ArtifactStore) -> None:
        self.url = url
        self._artifacts = artifacts
        self._waiting: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self._waiting.append(task)

    def wait(self) -> Done:
        return execute(self._waiting.popleft(), self._artifacts)

    def close(self) -> None:
        self._waiting.clear()
