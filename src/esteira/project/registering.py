"""A model becomes a version: the act is recorded first, then the bytes and their papers are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from esteira.base.records import Run, RunStatus
from esteira.registry.bundle import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.base.records import ModelVersion
    from esteira.project.station import Station


@dataclass(frozen=True, slots=True)
class Papers:
    """What is kept of a version beside its bytes."""

    reason: str  # what the audit ledger says
    tags: Mapping[str, str]
    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def record_version(station: Station, run: Run, digest: str, papers: Papers) -> ModelVersion:
    """Register the bundle of that digest, which is in the artifact store, as what a run gave out."""
    name = station.project.name
    station.audit.record("model.register", f"model/{name}", reason=papers.reason, facts={"digest": digest})
    mlflow_run = station.registry.record_run(
        run, metrics=papers.metrics, parameters=papers.parameters, tags=papers.tags
    )
    return station.registry.register(
        name,
        station.artifacts.folder(digest),
        mlflow_run=mlflow_run,
        digest=digest,
        metrics=papers.metrics,
        tags=papers.tags,
    )


def register_alone(station: Station, act: str, model: Model, papers: Papers) -> ModelVersion:
    """Register a model that no pipeline of this project made, or find the version that holds its very bytes.

    Its run is named for the act and the bytes, so that an act that was killed and repeated is one version.
    """
    artifact, name = station.artifacts.put(model, Model), station.project.name
    known = (each for each in station.registry.versions(name) if each.digest == artifact.digest)
    version = next(known, None)
    if version is None:
        now = station.clock.now()
        run = Run(f"{act}-{artifact.digest[:16]}", name, RunStatus.DONE, now, now)
        version = record_version(station, run, artifact.digest, papers)
    station.routes.know(name, version.version, version.digest)
    return version
