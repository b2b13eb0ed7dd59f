"""Rebuild a registered model from its manifest and compare the bytes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, CheckFailed, NotFound
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.execution import StepFailed
from esteira.pipelines.journal import Journal
from esteira.pipelines.why import MISSING, changes
from esteira.project.loader import PREFIX
from esteira.project.running import run_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.base.records import Artifact, ModelVersion, Run
    from esteira.pipelines.journal import StepRecord
    from esteira.pipelines.run import Outcome
    from esteira.project.station import Station

GONE = "it is not in the project any more"


class NotReproducible(CheckFailed):
    """A version that the project, as it is now, cannot build at all."""

    def __init__(self, version: int, reason: str) -> None:
        mend = "check out the project files of that time and try again"
        super().__init__(
            f"version {version} cannot be rebuilt from the project as it is now: {reason}; {mend}"
        )
        self.version, self.reason = version, reason


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of executing a version's run once more from its pinned inputs."""

    version: int
    expected: str  # digest of the registered bundle
    found: str
    differing: str  # the first step whose output differs; empty when all are equal
    steps: Mapping[str, bool]  # step → its output has the same bytes
    changed: Mapping[str, str]  # step → what of its code, parameters or libraries is not as it was

    @property
    def equal(self) -> bool:
        return self.expected == self.found

    @property
    def reason(self) -> str:
        """Why the bytes differ, as far as can be known; empty when they do not."""
        if self.equal:
            return ""
        causes = [f"{step}: {what}" for step, what in self.changed.items()]
        if causes:
            return f"the project is not as it was ({'; '.join(causes)})"
        return f"step {self.differing!r} gives other bytes from the same code, parameters and inputs"


def reproduce(station: Station, number: int) -> Reproduced:
    """Run the pipeline of a version again, without any cache, in a scratch place.

    Raises: NotFound (no such version, or its run is not in the journal), NotReproducible.
    """
    version = station.registry.version(station.project.name, number)
    earlier = _run_of(station, version)
    first = {s.step: s for s in station.journal.steps(earlier.id) if s.artifact is not None}
    known = {each.name for each in station.project.steps}
    with tempfile.TemporaryDirectory(prefix="esteira-reproduce-") as scratch:
        journal = Journal(f"sqlite:{scratch}/journal.db")
        artifacts = ArtifactStore(f"file:{Path(scratch) / 'artifacts'}")
        try:
            targets = [name for name in first if name in known]
            outcome = run_again(station, earlier, targets=targets, journal=journal, artifacts=artifacts)
            found = outcome.artifact(station.project.model).digest
        except (BadInput, StepFailed) as cannot:
            raise NotReproducible(number, str(cannot)) from cannot
        changed = {name: _changed(station.journal, journal, first[name], outcome) for name in targets}
    steps = {name: _is_same(outcome, name, first[name].artifact) for name in first}
    return Reproduced(
        number,
        version.digest,
        found,
        next((name for name, same in steps.items() if not same), ""),
        steps,
        {name: what for name in first if (what := changed.get(name, GONE))},
    )


def _run_of(station: Station, version: ModelVersion) -> Run:
    run_id = version.run_id
    earlier = next((run for run in station.journal.runs() if run.id == run_id), None)
    if earlier is None:
        mend = "only runs of this project's journal can be rebuilt"
        raise NotFound("run", run_id or f"of version {version.version}", mend)
    return earlier


def _is_same(outcome: Outcome, name: str, artifact: Artifact | None) -> bool:
    return name in outcome.steps and outcome.steps[name].artifact == artifact


def _changed(before: Journal, now: Journal, record: StepRecord, outcome: Outcome) -> str:
    """What a step is made of that is not as it was; what it takes from other steps is their affair."""
    old, new = before.result_of(record.key), now.result_of(outcome.steps[record.step].key)
    if old is None or new is None:
        return ""
    theirs = {name: each for name, each in old.parts["inputs"].items() if name in outcome.steps}
    said = changes(old.parts, {**new.parts, "inputs": {**new.parts["inputs"], **theirs}})
    return "" if said == MISSING else said.removeprefix("ran: ").replace(PREFIX, "")
