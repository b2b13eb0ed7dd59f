"""From a run to a model in production: train, judge, register, deploy; each act audited before it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput
from esteira.monitoring.drift import DriftReference
from esteira.project.datasets import TAG, keep_manifest
from esteira.project.ingesting import newest_published
from esteira.project.known_answers import KNOWN_ANSWERS, known_answers
from esteira.project.registering import Papers, record_version
from esteira.project.running import graph_of, run_pipeline
from esteira.registry.bundle import Model
from esteira.serving.combining.files import without_deadlines
from esteira.serving.rollout.state import RolloutUnderWay
from esteira.serving.routes import Arm, Routes, Shadow
from esteira.serving.runtimes import open_runtime
from esteira.training.evaluation import evaluate
from esteira.training.gates import Evaluation, judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import pyarrow as pa

    from esteira.base.records import ModelVersion
    from esteira.pipelines.run import Outcome, StepEvent
    from esteira.project.station import Station
    from esteira.training.evaluation import Measured
    from esteira.training.gates import GateResult

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registered version with what the gates said of it."""

    version: ModelVersion
    gates: tuple[GateResult, ...]
    measured: tuple[Measured, ...]
    rows: int  # that it learnt from
    until: str  # the moment its run stands for

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.gates)


def train(
    station: Station,
    until: datetime | None = None,
    *,
    parameters: dict[str, object] | None = None,
    on_event: Callable[[StepEvent], None] | None = None,
) -> Outcome:
    """Run the pipeline up to the model, the baseline and the rows that judge them.

    A run parameter named `until` is the moment the run stands for: by default, that of the newest data.
    """
    project = station.project
    given = dict(parameters or {})
    moment = until or newest_published(station)
    if moment is not None and "until" in graph_of(station).parameters:
        given.setdefault("until", moment)
    roles = [project.model, project.holdout, project.training_set, project.baseline]
    outcome = run_pipeline(station, given, targets=[role for role in roles if role], on_event=on_event)
    keep_manifest(station, outcome)
    return outcome


def judge_and_register(station: Station, outcome: Outcome) -> Candidate:
    """Judge the run's model on the holdout against baseline and champion, and register it with that."""
    project = station.project
    already = registered(station, outcome.artifact(project.model).digest)
    model: Model = outcome.value(project.model)
    rows: pa.Table = outcome.value(project.holdout)
    candidate = score(model, rows)
    rivals: dict[str, Evaluation] = {}
    if project.baseline:
        rivals["baseline"] = score(outcome.value(project.baseline), rows)
    champion = champion_of(station)
    if champion is not None and champion != already:
        rivals[CHAMPION] = score(load_model(station, champion), rows)
    gates = judge(project.gates, candidate, rivals)
    measured = evaluate(candidate.labels, candidate.scores)
    version = already or _register(station, outcome, model, measured, gates)
    station.routes.know(version.name, version.version, version.digest)
    learnt = outcome.value(project.training_set).num_rows
    return Candidate(version, gates, measured, learnt, str(outcome.run.parameters.get("until", "")))


def score(model: Model, rows: pa.Table) -> Evaluation:
    """The model's scores on labelled rows, by the same runtime that serves it, with time for every member."""
    matrix = model.signature.encode_table(rows)
    labels = rows[model.signature.target].cast("float64").to_numpy()
    return Evaluation(labels, open_runtime(without_deadlines(model)).predict(matrix))


def registered(station: Station, digest: str) -> ModelVersion | None:
    """The version that already holds these very bytes."""
    versions = station.registry.versions(station.project.name)
    return next((version for version in versions if version.digest == digest), None)


def _register(
    station: Station,
    outcome: Outcome,
    model: Model,
    measured: tuple[Measured, ...],
    gates: tuple[GateResult, ...],
) -> ModelVersion:
    project = station.project
    artifact = outcome.artifact(project.model)
    training = outcome.value(project.training_set)
    reference = DriftReference.fit(
        model.signature.encode_table(training),
        model.signature,
        training[project.time].cast("int64").to_numpy(),
    )
    metrics = {m.metric: m.value for m in measured}
    metrics |= {f"{m.metric}_{end}": getattr(m, end) for m in measured for end in ("low", "high")}
    tags = {
        "esteira.reference": station.artifacts.put(reference.to_plain(), dict).digest,
        KNOWN_ANSWERS: station.artifacts.put(
            known_answers(model, outcome.value(project.holdout)), dict
        ).digest,
        "esteira.gates": "passed" if all(g.passed for g in gates) else "failed",
        TAG: keep_manifest(station, outcome).digest,
    }
    tags |= {f"esteira.input.{name}": identity for name, identity in outcome.run.inputs.items()}
    parameters = {**outcome.run.parameters, **model.facts}
    papers = Papers(f"run {outcome.run.id}", tags, parameters, metrics)
    return record_version(station, outcome.run, artifact.digest, papers)


def champion_of(station: Station) -> ModelVersion | None:
    """The version that serves as champion, as the routes say; None before the first deployment."""
    routes = station.routes.get(station.project.name)
    return None if routes is None else station.version(routes.champion.version)


def load_model(station: Station, version: ModelVersion) -> Model:
    """A registered model from the artifact store, digests checked.

    One that is not there comes from the registry and is put there, for gateways look nowhere else.
    Raises: CorruptArtifact, NotFound.
    """
    folder = station.artifacts.folder(version.digest)
    if folder.is_dir():
        return Model.load(folder)
    model = Model.load(station.registry.fetch(version.name, version.version))
    station.artifacts.put(model, Model)
    return model


def arm(name: str, version: ModelVersion, share: float) -> Arm:
    return Arm(name, version.version, version.digest, share)


def deploy(station: Station, number: int, reason: str) -> Routes:
    """Put a version into production at once, as champion with all the traffic.

    Raises: NotFound (no such version), BadInput (a version that esteira did not register), RolloutUnderWay.
    """
    version = deployable(station, number)
    with station.routes.changing():
        rollout = station.rollouts.active(version.name)
        if rollout is not None:
            raise RolloutUnderWay(rollout)
        station.promotions.promote(station.project.name, number, CHAMPION, reason)
        return set_routes(station, (arm(CHAMPION, version, 1.0),), reason)


def deployable(station: Station, number: int) -> ModelVersion:
    """A version whose bundle is whole, checked before anything is changed.

    Raises: NotFound (no such version), BadInput (not registered by esteira), CorruptArtifact.
    """
    version = station.version(number)
    if not version.digest:
        raise BadInput(f"version {number} of {version.name} has no digest: it was not registered by esteira")
    load_model(station, version)
    station.routes.know(version.name, number, version.digest)  # gateways may be asked for it by its number
    return version


def set_routes(
    station: Station,
    arms: tuple[Arm, ...],
    reason: str,
    *,
    salt: str = "",
    shadows: tuple[Shadow, ...] = (),
    segments: tuple[str, ...] = (),
) -> Routes:
    """Change the split; recorded first. The salt stays unless another is given, so an id keeps its arm.

    Whoever decides by what is in force holds `station.routes.changing()`. Raises: RoutesMoved.
    """
    name = station.project.name
    current = station.routes.get(name)
    before, revision = (current.salt, current.revision) if current is not None else (name, 0)
    wanted = Routes(name, arms, salt or before, revision, shadows, segments)
    if current == wanted:
        return current
    facts: dict[str, object] = {"shares": {f"{each.name}:{each.version}": each.share for each in arms}}
    if shadows:
        facts["shadows"] = {f"{each.name}:{each.version}": each.share for each in shadows}
    if segments:
        facts["segments"] = [*segments]
    station.audit.record("routes.set", f"model/{name}", reason=reason, facts=facts)
    return station.routes.set(wanted, expected_revision=revision)
