"""Run a graph: cached, durable, resumable."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esteira.base.records import Run, RunStatus
from esteira.pipelines.decision import Judge
from esteira.pipelines.driver import Desk, Driver, StepEvent
from esteira.pipelines.graph import UnknownStep
from esteira.pipelines.journal import StepStatus
from esteira.pipelines.liveness import this_process
from esteira.pipelines.preparation import prepare
from esteira.pipelines.runners import open_runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from esteira.base.ports import Clock
    from esteira.base.records import Artifact
    from esteira.pipelines.artifacts import ArtifactStore
    from esteira.pipelines.graph import Graph
    from esteira.pipelines.journal import Journal, StepRecord
    from esteira.pipelines.preparation import Prepared

__all__ = ["Outcome", "StepEvent", "run"]

_active: set[str] = set()  # ids of the runs that this process is executing


@dataclass(frozen=True)
class Outcome:
    """A run that is done, with the way to what its steps made."""

    run: Run
    steps: Mapping[str, StepRecord]
    _graph: Graph = field(repr=False)
    _artifacts: ArtifactStore = field(repr=False)

    def value(self, step: str) -> Any:  # noqa: ANN401 - the caller knows what its step returns
        """What a step made, read from the store, its bytes checked. Raises: UnknownStep, CorruptArtifact."""
        return self._artifacts.get(self.artifact(step), self._graph.steps[step].returns)

    def artifact(self, step: str) -> Artifact:
        """The artifact of a step. Raises: UnknownStep (or one that the targets did not need)."""
        record = self.steps.get(step)
        if record is None or record.artifact is None:
            raise UnknownStep(step, self.steps)
        return record.artifact


def run(  # noqa: PLR0913 - the room's one verb: what to run, where it is kept, how it is judged
    graph: Graph,
    *,
    project: str,
    journal: Journal,
    artifacts: ArtifactStore,
    clock: Clock,
    parameters: Mapping[str, object] | None = None,
    targets: Sequence[str] | None = None,
    resume: bool = True,
    on_event: Callable[[StepEvent], None] | None = None,
    use_cache: bool = True,
    runner: str = "inline",
) -> Outcome:
    """Bring every step that the targets need to a stored result, executing only those whose key is new.

    An identical call that was killed is taken over: its committed steps are not repeated, also without
    `use_cache`. One that is still being executed is refused. `resume=False` begins a new run in any case.
    `on_event` is told of each step after it is committed.

    Raises: what `Graph` and `prepare` raise; RunInProgress; StepFailed, WrongOutput (the run is then marked
    failed); StorageUnwritable; CorruptArtifact.
    """
    prepared = prepare(graph, targets, parameters or {})
    identity = prepared.identity(project, use_cache=use_cache)
    executing = open_runner(runner, artifacts=artifacts)
    claimed = journal.claim(
        _new(prepared, project, clock), identity, this_process(), _active.__contains__ if resume else None
    )
    _active.add(claimed.id)
    try:
        judge = Judge(
            journal,
            artifacts,
            project=project,
            use_cache=use_cache,
            committed=_committed(journal, claimed.id),
        )
        driver = Driver(claimed, prepared, Desk(journal, artifacts, clock, executing, judge, on_event))
        driver.drive()
    finally:
        executing.close()
        _active.discard(claimed.id)
    return Outcome(driver.run, driver.records, graph, artifacts)


def _new(prepared: Prepared, project: str, clock: Clock) -> Run:
    now = clock.now()
    name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    return Run(name, project, RunStatus.RUNNING, now, parameters=prepared.plain, inputs=prepared.inputs)


def _committed(journal: Journal, run_id: str) -> Mapping[str, StepRecord]:
    return {each.step: each for each in journal.steps(run_id) if each.status is StepStatus.DONE}
