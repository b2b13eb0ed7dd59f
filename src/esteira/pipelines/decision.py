"""Hit or run: decided in the driver, before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.pipelines.why import AGAIN, CORRUPT, FIRST, HIT, MISSING, changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.base.records import Artifact
    from esteira.pipelines.artifacts import ArtifactStore
    from esteira.pipelines.journal import Journal, Result, StepRecord
    from esteira.pipelines.keys import Key


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a step, and why."""

    key: Key
    digest: str  # of the key
    reason: str
    artifact: Artifact | None = None  # of a hit
    committed: StepRecord | None = None  # by this very run, before its process died


class Judge:
    """Decides for one run; `committed` is what an interrupted attempt of it has already recorded."""

    def __init__(
        self,
        journal: Journal,
        artifacts: ArtifactStore,
        *,
        project: str,
        use_cache: bool,
        committed: Mapping[str, StepRecord],
    ) -> None:
        self._journal, self._artifacts = journal, artifacts
        self._project, self._use_cache, self._committed = project, use_cache, committed

    def decide(self, step: str, key: Key) -> Verdict:
        """A hit if the key has an intact artifact; a corrupt one is not served. Raises: StorageUnwritable."""
        digest = key.digest
        earlier = self._committed.get(step)
        is_own = earlier is not None and earlier.key == digest
        result = self._journal.result_of(digest) if self._use_cache or is_own else None
        if result is None:
            return Verdict(key, digest, self._why_not(step, key))
        if self._is_whole(result):
            return Verdict(key, digest, HIT, result.artifact, earlier if is_own else None)
        return Verdict(key, digest, MISSING if self._artifacts.is_lost(result.artifact) else CORRUPT)

    def _is_whole(self, result: Result) -> bool:
        artifact, small = result.artifact, result.small
        if self._artifacts.is_intact(artifact):
            return True
        can_restore = small is not None and self._artifacts.is_lost(artifact)
        return can_restore and small is not None and self._artifacts.restore(artifact, small)

    def _why_not(self, step: str, key: Key) -> str:
        if not self._use_cache:
            return AGAIN
        before = self._journal.last_parts(self._project, step)
        return FIRST if before is None else changes(before, key.parts)
