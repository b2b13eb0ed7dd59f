"""The values that travel between steps: by reference while someone waits for them, else only in the store."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.pipelines.inputs import InputFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.base.records import Artifact
    from esteira.pipelines.artifacts import ArtifactStore
    from esteira.pipelines.graph import Graph


class Values:
    """Holds a value from the moment it is made or first needed until its last reader is settled."""

    def __init__(self, graph: Graph, plan: Sequence[str], artifacts: ArtifactStore) -> None:
        self._graph, self._artifacts = graph, artifacts
        self._held: dict[str, object] = {}
        self._readers = Counter(name for step in plan for name in self._sources(step))

    def offer(self, step: str, value: object) -> None:
        """Keep what a step has just made, if someone still waits for it."""
        if self._readers[step]:
            self._held[step] = value

    def arguments(self, step: str, stored: Mapping[str, Artifact]) -> dict[str, object]:
        """The outputs and inputs that a step takes; what is not at hand is loaded.

        Raises: CorruptArtifact, InputFailed, and the errors of esteira that an input raises.
        """
        for name in self._sources(step):
            if name not in self._held:
                self._held[name] = self._loaded(name, stored)
        return {name: self._held[name] for name in self._sources(step)}

    def settle(self, step: str) -> None:
        """A step needs its sources no more: let go of those that nobody else waits for."""
        for name in self._sources(step):
            self._readers[name] -= 1
            if not self._readers[name]:
                self._held.pop(name, None)

    def _loaded(self, name: str, stored: Mapping[str, Artifact]) -> object:
        if name in stored:
            return self._artifacts.get(stored[name], self._graph.steps[name].returns)
        given = self._graph.inputs[name]
        try:
            return given.resolve()
        except EsteiraError:
            raise
        except Exception as raised:
            raise InputFailed(name, given.identity, f"{type(raised).__name__}: {raised}") from raised

    def _sources(self, step: str) -> tuple[str, ...]:
        return (*self._graph.needs(step), *self._graph.takes(step))
