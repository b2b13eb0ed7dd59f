"""From a prediction back to everything that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.errors import NotFound
from esteira.base.records import to_plain
from esteira.serving.combining.files import RUNTIME, read_combination

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from esteira.base.records import AuditEvent, ModelVersion, Run
    from esteira.data.tables.port import TableStore
    from esteira.governance.ledger import AuditLedger
    from esteira.pipelines.journal import Journal, StepRecord
    from esteira.registry.backends.port import Backend
    from esteira.registry.bundle import Model
    from esteira.serving.routes import Routes, RouteStore

_ALL = 2**31
_APART = frozenset(("vector", "parts"))  # which stand by their names


@dataclass(frozen=True, slots=True)
class Trace:
    """One prediction with its origins; what a later stage has not written yet is None or empty."""

    prediction: Mapping[str, Any]
    features: Mapping[str, float | str | None]  # what the model saw, by column
    members: Mapping[str, float | None]  # of a combination; None: not asked, or it failed
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


def trace(prediction_id: str, archives: Archives, model_of: Callable[[ModelVersion], Model]) -> Trace:
    """Walk back from a prediction id. Raises: NotFound.

    `model_of(version)` loads the bundle of a registered version.
    """
    found = _rows(archives.tables, "predictions", "id", prediction_id)
    if not found:
        mend = "ids come back with each answer; the newest are in the log until the next tick"
        raise NotFound("prediction", prediction_id, mend)
    prediction = found[0]  # of an id that was asked twice the first answer counts
    version = archives.registry.version(prediction["model"], prediction["version"])
    run_id, model = version.run_id, model_of(version)
    run = next((each for each in archives.journal.runs() if each.id == run_id), None)
    return Trace(
        prediction=to_plain({name: value for name, value in prediction.items() if name not in _APART}),
        features=model.signature.decode_row(prediction["vector"]),
        members=_members(model, prediction.get("parts")),
        label=_label(archives.tables, prediction_id),
        routes=archives.routes.get(prediction["model"], prediction["revision"]),
        version=version,
        run=run,
        steps=tuple(archives.journal.steps(run_id)) if run else (),
        audit=_audit(archives.ledger, prediction),
    )


def _rows(tables: TableStore, table: str, column: str, value: str) -> list[dict[str, Any]]:
    if table not in tables.names():
        return []
    rows: list[dict[str, Any]] = tables.read(table, where=[(column, "==", value)]).to_pylist()
    return rows


def _members(model: Model, parts: Sequence[float | None] | None) -> dict[str, float | None]:
    if not parts or model.runtime != RUNTIME:
        return {}
    return dict(zip(read_combination(model).members, parts, strict=True))


def _label(tables: TableStore, prediction_id: str) -> Mapping[str, Any] | None:
    """The label that holds: of the greatest revision, then the one that came last."""
    rows = _rows(tables, "labels", "prediction_id", prediction_id)
    held = max(rows, key=lambda row: (row["revision"], row["ingested_at"]), default=None)
    return None if held is None else to_plain(held)


def _audit(ledger: AuditLedger, prediction: Mapping[str, Any]) -> tuple[AuditEvent, ...]:
    """What is recorded of the model and of the version that answered."""
    model = prediction["model"]
    resources = (f"model/{model}", f"{model}@{prediction['version']}")
    events = [each for name in resources for each in ledger.events(limit=_ALL, resource=name)]
    known = (event for event in events if event.at <= prediction["at"])
    return tuple(sorted(known, key=lambda event: event.seq))
