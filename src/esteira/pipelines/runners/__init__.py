"""The runners by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from esteira.pipelines.artifacts import ArtifactStore
    from esteira.pipelines.runners.port import Runner

_RUNNERS = {"inline": "esteira.pipelines.runners.inline:InlineRunner"}


def open_runner(name: str, *, artifacts: ArtifactStore) -> Runner:
    """`inline`, the only one so far. Raises: UnknownScheme."""
    runner: Runner = open_by_scheme(_RUNNERS, name, artifacts=artifacts)
    return runner
