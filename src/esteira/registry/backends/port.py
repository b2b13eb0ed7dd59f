"""What the platform asks of a tracking and registry store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esteira.base.records import ModelVersion, Run


class Backend(Protocol):
    """Keeps runs, model versions and aliases where people look for them.

    Every method raises ServiceUnreachable when a server does not answer. Recording the same run, and
    registering the same bundle of the same run, twice leaves one record: what was killed can be repeated.
    """

    def record_run(
        self,
        run: Run,
        *,
        metrics: Mapping[str, float],
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
    ) -> str:
        """Keep a run with its numbers; returns the backend's own id of it."""
        ...

    def register(
        self,
        name: str,
        bundle: Path,
        *,
        mlflow_run: str,
        digest: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> ModelVersion:
        """A new version of `name` that holds a copy of the bundle.

        `digest` is that of the bundle folder (`digest_folder`). Raises: CorruptArtifact when it is not.
        """
        ...

    def names(self) -> list[str]:
        """The names of all models, sorted."""
        ...

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions, newest last; none for an unknown name. A version of other makers has digest ""."""
        ...

    def version(self, name: str, number: int) -> ModelVersion:
        """One version. Raises: NotFound."""
        ...

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """Point an alias at a version. Raises: NotFound."""
        ...

    def alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that an alias points at."""
        ...

    def fetch(self, name: str, number: int) -> Path:
        """A local folder with the bundle of a version, its digest checked.

        Raises: NotFound, CorruptArtifact, BadInput (a version of other makers has no bundle).
        """
        ...
