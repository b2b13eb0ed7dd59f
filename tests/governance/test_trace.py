from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.serving.worlds import NOON, PLAIN, deployment, tree_model

from esteira.base.clock import SimulatedClock, to_micros
from esteira.base.errors import NotFound
from esteira.base.records import Label, ModelVersion, Prediction, RunStatus
from esteira.data.tables import open_tables
from esteira.governance.ledger import AuditLedger
from esteira.governance.trace import Archives, Trace, trace
from esteira.monitoring.prediction_log import encode_label, encode_prediction, labels_table, predictions_table
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.graph import Graph
from esteira.pipelines.journal import Journal
from esteira.pipelines.run import run
from esteira.pipelines.step import step
from esteira.registry.backends import open_backend
from esteira.registry.bundle import Model
from esteira.serving.combining import fallback
from esteira.serving.routes import Routes, RouteStore

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)


@step
def model(low: float = 0.5) -> Model:
    return tree_model(low)


@dataclass
class Stores:
    """Real stores of one model with one version, and what its gateway wrote."""

    archives: Archives
    artifacts: ArtifactStore
    clock: SimulatedClock
    routes: Routes

    def predict(self, name: str, *, revision: int = 1, score: float = 0.6, after: timedelta = HOUR) -> None:
        at = to_micros(NOON + after)
        made = Prediction(
            name, at, "late", 1, "champion", revision, name, score, 1e-4, (120.0, 1.0, float("nan"))
        )
        self.archives.tables.append("predictions", predictions_table([encode_prediction(made)]))

    def label(self, name: str, value: float, *, revision: int = 0, hours: int = 2) -> None:
        learnt = to_micros(NOON + hours * HOUR)
        made = Label(name, value, learnt, learnt, revision)
        self.archives.tables.append("labels", labels_table([encode_label(made)]))

    def trace(self, name: str) -> Trace:
        return trace(name, self.archives, self.model_of)

    def model_of(self, version: ModelVersion) -> Model:
        return Model.load(self.artifacts.folder(version.digest))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trace")


@pytest.fixture(scope="module")
def stores(home: Path) -> Stores:
    """One station for all tests: each asks about ids of its own."""
    clock = SimulatedClock(start=NOON)
    artifacts, journal = ArtifactStore(f"file:{home}/artifacts"), Journal(f"sqlite:{home}/journal.db")
    outcome = run(Graph([model]), project="late", journal=journal, artifacts=artifacts, clock=clock)
    digest = outcome.artifact("model").digest
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        registry = open_backend("mlflow:", home=home)
        recorded = registry.record_run(outcome.run, metrics={}, parameters={}, tags={})
        registry.register(
            "late", artifacts.folder(digest), mlflow_run=recorded, digest=digest, metrics={}, tags={}
        )
    ledger = AuditLedger(f"sqlite:{home}/audit.db", clock, "ana")
    routes = RouteStore(f"sqlite:{home}/state.db")
    ledger.record("model.promote", "late@1", reason="first")
    ledger.record("routes.set", "model/late", reason="first")
    ledger.record("model.promote", "late@2", reason="of another version")
    first = routes.set(deployment(artifacts, tree_model(0.5)))
    routes.set(deployment(artifacts, tree_model(0.5), tree_model(0.9), shares=(0.5, 0.5)))
    tables = open_tables(f"delta:{home}/tables", clock=clock)
    return Stores(Archives(tables, registry, journal, ledger, routes), artifacts, clock, first)


def test_before_anything_was_drained_no_prediction_is_known(stores: Stores, tmp_path: Path) -> None:
    empty = Archives(
        open_tables(f"delta:{tmp_path}/tables"),
        stores.archives.registry,
        stores.archives.journal,
        stores.archives.ledger,
        stores.archives.routes,
    )
    with pytest.raises(NotFound, match="the newest are in the log until the next tick"):
        trace("q1", empty, stores.model_of)


def test_a_prediction_leads_back_to_version_run_steps_and_routes(stores: Stores) -> None:
    stores.predict("back")
    found = stores.trace("back")
    assert found.prediction["id"] == "back"
    assert found.prediction["at"] == "2013-07-01T13:00:00+00:00"
    assert "vector" not in found.prediction
    assert found.features == {"miles": 120.0, "carrier": "UA", "gust": None}
    assert found.features.keys() == set(PLAIN.names)
    assert found.label is None
    assert found.routes == stores.routes
    assert found.run is not None
    assert (found.run.status, found.run.parameters) == (RunStatus.DONE, {"low": 0.5})
    assert [each.step for each in found.steps] == ["model"]
    assert found.steps[0].artifact is not None
    assert found.steps[0].artifact.digest == found.version.digest


def test_the_routes_are_of_the_revision_that_chose(stores: Stores) -> None:
    stores.predict("later", revision=2)
    found = stores.trace("later")
    assert found.routes is not None
    assert [arm.share for arm in found.routes.arms] == [0.5, 0.5]


def test_of_an_id_that_was_asked_twice_the_first_answer_counts(stores: Stores) -> None:
    stores.predict("twice", score=0.25)
    stores.predict("twice", score=0.75)
    assert stores.trace("twice").prediction["score"] == 0.25


def test_the_greatest_revision_of_a_label_holds_then_the_last_to_come(stores: Stores) -> None:
    stores.predict("labelled")
    stores.label("labelled", 1.0, revision=1, hours=2)
    stores.label("labelled", 0.5, revision=1, hours=4)
    stores.label("labelled", 0.0, revision=0, hours=6)
    label = stores.trace("labelled").label
    assert label is not None
    assert (label["value"], label["ingested_at"]) == (0.5, "2013-07-01T16:00:00+00:00")


def test_the_audit_is_of_this_model_and_this_version_up_to_the_prediction(stores: Stores) -> None:
    stores.predict("audited")
    found = stores.trace("audited").audit
    assert [f"{event.action} {event.resource}" for event in found] == [
        "model.promote late@1",
        "routes.set model/late",
    ]


def test_many_later_records_hide_no_earlier_one(stores: Stores) -> None:
    stores.predict("old", after=timedelta(0))
    stores.clock.advance(timedelta(days=1))
    for number in range(120):
        stores.archives.ledger.record("rollout.hold", "model/late", reason=str(number))
    assert len(stores.trace("old").audit) == 2


def test_a_version_whose_run_is_not_in_the_journal_has_no_run_and_no_steps(
    stores: Stores, tmp_path: Path
) -> None:
    stores.predict("orphan")
    elsewhere = Archives(
        stores.archives.tables,
        stores.archives.registry,
        Journal(f"sqlite:{tmp_path}/journal.db"),
        stores.archives.ledger,
        stores.archives.routes,
    )
    found = trace("orphan", elsewhere, stores.model_of)
    assert (found.run, found.steps) == (None, ())
    assert found.version.version == 1


def test_of_a_combination_what_each_member_said_is_named(stores: Stores) -> None:
    both = fallback({"deep": tree_model(0.5), "plain": tree_model(0.9)})
    at, vector = to_micros(NOON), (120.0, 1.0, float("nan"))
    who = ("joined", at, "late", 1, "champion", 1, "joined")
    made = Prediction(*who, 0.6, 1e-4, vector, (0.6, float("nan")))
    stores.archives.tables.append("predictions", predictions_table([encode_prediction(made)]))
    found = trace("joined", stores.archives, lambda _: both)
    assert found.members == {"deep": 0.6, "plain": None}
    assert "parts" not in found.prediction
    assert stores.trace("joined").members == {}
