"""From a prediction back to everything that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.errors import NotFound
from esteira.base.records import to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.base.records import AuditEvent, ModelVersion, Run
    from esteira.data.tables.port import TableStore
    from esteira.governance.ledger import AuditLedger
    from esteira.pipelines.journal import Journal, StepRecord
    from esteira.registry.backends.port import Backend
    from esteira.registry.bundle import Model
    from esteira.serving.routes import Routes, RouteStore


@dataclass(frozen=True, slots=True)
class Trace:
    """One prediction with its origins; what a later stage has not written yet is None or empty."""

    prediction: Mapping[str, Any]
    features: Mapping[str, float | str | None]  # what the model saw, by column
    label: Mapping[str, Any] | None
    routes: Routes | None  # the split that chose the arm
    version: ModelVersion
    run: Run | None  # with its parameters and the pinned versions of every table
    steps: tuple[StepRecord, ...]  # with the key that covers their code
    audit: tuple[AuditEvent, ...]  # who changed what this model serves, up to the prediction


@dataclass(frozen=True, slots=True)
class Archives:
    """The stores that a trace walks through."""

    tables: TableStore
    registry: Backend
    journal: Journal
    ledger: AuditLedger
    routes: RouteStore


def trace(prediction_id: str, archives: Archives, model_of: Any) -> Trace:  # noqa: ANN401
    """Walk back from a prediction id. Raises: NotFound.

    `model_of(version)` loads the bundle of a registered version.
    """
    prediction = _row(archives.tables, "predictions", "id", prediction_id)
    if prediction is None:
        mend = "ids come back with each answer; the newest are in the log until the next tick"
        raise NotFound("prediction", prediction_id, mend)
    version = archives.registry.version(prediction["model"], prediction["version"])
    model: Model = model_of(version)
    run_id = version.tags.get("esteira.run", "")
    run = next((each for each in archives.journal.runs() if each.id == run_id), None)
    return Trace(
        prediction=to_plain({name: value for name, value in prediction.items() if name != "vector"}),
        features=model.signature.decode_row(prediction["vector"]),
        label=_row(archives.tables, "labels", "prediction_id", prediction_id),
        routes=archives.routes.get(prediction["model"], prediction["revision"]),
        version=version,
        run=run,
        steps=tuple(archives.journal.steps(run_id)) if run else (),
        audit=_audit(archives.ledger, prediction),
    )


def _row(tables: TableStore, table: str, column: str, value: str) -> dict[str, Any] | None:
    if table not in tables.names():
        return None
    rows = tables.read(table, where=[(column, "==", value)]).to_pylist()
    return rows[-1] if rows else None


def _audit(ledger: AuditLedger, prediction: Mapping[str, Any]) -> tuple[AuditEvent, ...]:
    events = ledger.events(resource=f"model/{prediction['model']}")
    return tuple(event for event in events if event.at <= prediction["at"])
