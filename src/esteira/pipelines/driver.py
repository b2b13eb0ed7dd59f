"""The driver of one run: decides, hands over, commits. One durable transaction per committed step."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from esteira.base.errors import EsteiraError
from esteira.base.records import RunStatus
from esteira.pipelines.execution import Task
from esteira.pipelines.journal import Result, StepRecord, StepStatus
from esteira.pipelines.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from esteira.base.ports import Clock
    from esteira.base.records import Artifact, Run
    from esteira.pipelines.artifacts import ArtifactStore
    from esteira.pipelines.decision import Judge, Verdict
    from esteira.pipelines.execution import Done
    from esteira.pipelines.journal import Journal
    from esteira.pipelines.preparation import Prepared
    from esteira.pipelines.runners.port import Runner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepEvent:
    """Something that has just been committed about a step."""

    step: str
    kind: Literal["running", "hit", "ran", "failed"]
    record: StepRecord


@dataclass(frozen=True, slots=True)
class Desk:
    """What a driver works with."""

    journal: Journal
    artifacts: ArtifactStore
    clock: Clock
    runner: Runner
    judge: Judge
    on_event: Callable[[StepEvent], None] | None


class Driver:
    """Executes a prepared graph as one run."""

    def __init__(self, run: Run, prepared: Prepared, desk: Desk) -> None:
        self.run, self.records = run, dict[str, StepRecord]()
        self._prepared, self._desk, self._graph = prepared, desk, prepared.graph
        self._values = Values(prepared.graph, prepared.plan, desk.artifacts)
        self._stored: dict[str, Artifact] = {}
        self._unmet = {name: len(set(self._graph.needs(name))) for name in prepared.plan}
        self._order = {name: at for at, name in enumerate(prepared.plan)}
        self._followers: dict[str, list[str]] = {name: [] for name in prepared.plan}
        for name in prepared.plan:
            for source in self._graph.needs(name):
                self._followers[source].append(name)
        self._decidable = [at for name, at in self._order.items() if not self._unmet[name]]
        self._ready: deque[tuple[str, Verdict]] = deque()
        self._flying: dict[str, Verdict] = {}

    def drive(self) -> None:
        """Bring the run to its end. Raises: StepFailed, WrongOutput, CorruptArtifact, StorageUnwritable…"""
        try:
            fresh, results = self._decide(), list[Result]()
            while True:
                started = self._start()
                if not self._flying:
                    self.run = replace(self.run, status=RunStatus.DONE, finished_at=self._desk.clock.now())
                self._commit([*fresh, *started], results)
                if not self._flying:
                    return
                for record in started:
                    self._desk.runner.submit(self._task(record.step))
                fresh, results = self._finish(self._desk.runner.wait())
                fresh += self._decide()
        except BaseException as error:
            self._give_up(error)
            raise

    def _decide(self) -> list[StepRecord]:
        """Decide every step whose inputs are known; hits make more of them known."""
        hits = []
        while self._decidable:
            name = self._prepared.plan[heapq.heappop(self._decidable)]
            verdict = self._desk.judge.decide(name, self._prepared.key(name, self._stored))
            if verdict.artifact is None:
                self._ready.append((name, verdict))
                continue
            self._settle(name, verdict.artifact)
            if verdict.committed is not None:
                self.records[name] = verdict.committed
            else:
                hits.append(
                    self._record(name, verdict, StepStatus.DONE, artifact=verdict.artifact, cached=True)
                )
        return hits

    def _start(self) -> list[StepRecord]:
        started = []
        while self._ready and len(self._flying) < self._desk.runner.slots:
            name, verdict = self._ready.popleft()
            self._flying[name] = verdict
            started.append(self._record(name, verdict, StepStatus.RUNNING))
        return started

    def _task(self, name: str) -> Task:
        values = self._values.arguments(name, self._stored)
        return Task(self._graph.steps[name], {**values, **self._prepared.parameters[name]})

    def _finish(self, done: Done) -> tuple[list[StepRecord], list[Result]]:
        if done.kept is None or done.error is not None:
            self.records[done.step] = replace(self.records[done.step], seconds=done.seconds)
            raise done.error or EsteiraError(f"step {done.step!r} came back with neither result nor error")
        verdict, artifact = self._flying.pop(done.step), done.kept.artifact
        self._values.offer(done.step, done.kept.value)
        self._settle(done.step, artifact)
        record = replace(
            self.records[done.step], status=StepStatus.DONE, artifact=artifact, seconds=done.seconds
        )
        return [record], [Result(verdict.digest, artifact, verdict.key.parts, done.kept.small)]

    def _settle(self, name: str, artifact: Artifact) -> None:
        self._stored[name] = artifact
        self._values.settle(name)
        for follower in self._followers[name]:
            self._unmet[follower] -= 1
            if not self._unmet[follower]:
                heapq.heappush(self._decidable, self._order[follower])

    def _record(
        self,
        name: str,
        verdict: Verdict,
        status: StepStatus,
        *,
        artifact: Artifact | None = None,
        cached: bool = False,
    ) -> StepRecord:
        now = self._desk.clock.now()
        return StepRecord(
            self.run.id, name, status, verdict.digest, artifact, cached, now, 0.0, "", verdict.reason
        )

    def _commit(self, records: Iterable[StepRecord], results: Iterable[Result] = ()) -> None:
        """Durable first, then told."""
        written = list(records)
        self._desk.journal.commit(self.run, written, list(results))
        for record in written:
            self.records[record.step] = record
            kind = _kind(record)
            log.info(
                "step %s", kind, extra={"run": self.run.id, "step": record.step, "reason": record.reason}
            )
            if self._desk.on_event is not None:
                self._desk.on_event(StepEvent(record.step, kind, record))

    def _give_up(self, error: BaseException) -> None:
        """Mark the run failed; if even that cannot be written, the next identical call takes it over."""
        said = (
            str(error) if isinstance(error, EsteiraError) else f"{type(error).__name__}: {error}".rstrip(": ")
        )
        self.run = replace(self.run, status=RunStatus.FAILED, finished_at=self._desk.clock.now(), error=said)
        flying = [self.records[name] for name in self._flying if name in self.records]
        with suppress(EsteiraError):
            self._commit([replace(each, status=StepStatus.FAILED, error=said) for each in flying])


def _kind(record: StepRecord) -> Literal["running", "hit", "ran", "failed"]:
    if record.status is StepStatus.DONE:
        return "hit" if record.cached else "ran"
    return "running" if record.status is StepStatus.RUNNING else "failed"
