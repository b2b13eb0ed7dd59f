"""Rebuild a registered model from its manifest and compare the bytes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.errors import NotFound
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.journal import Journal
from esteira.project.running import run_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.project.station import Station


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of executing a version's run once more from its pinned inputs."""

    version: int
    expected: str  # digest of the registered bundle
    found: str
    differing: str  # the first step whose output differs, or whose code has changed; empty when equal
    steps: Mapping[str, bool]  # step → its output has the same bytes

    @property
    def equal(self) -> bool:
        return self.expected == self.found


def reproduce(station: Station, number: int) -> Reproduced:
    """Run the pipeline of a version again, without any cache, in a scratch place.

    Raises: NotFound (no such version, or its run is not in the journal).
    """
    project = station.project
    version = station.registry.version(project.name, number)
    run_id = version.tags.get("esteira.run", "")
    earlier = next((run for run in station.journal.runs() if run.id == run_id), None)
    if earlier is None:
        raise NotFound(
            "run", run_id or f"of version {number}", "only runs of this project's journal can be rebuilt"
        )
    first = {s.step: s.artifact.digest for s in station.journal.steps(run_id) if s.artifact is not None}
    with tempfile.TemporaryDirectory(prefix="esteira-reproduce-") as scratch:
        outcome = run_again(
            station,
            earlier,
            targets=list(first),
            journal=Journal(f"sqlite:{scratch}/journal.db"),
            artifacts=ArtifactStore(f"file:{Path(scratch) / 'artifacts'}"),
        )
        again = {name: outcome.artifact(name).digest for name in first}
    steps = {name: again[name] == digest for name, digest in first.items()}
    differing = next((name for name, same in steps.items() if not same), "")
    return Reproduced(number, version.digest, again[project.model], differing, steps)
