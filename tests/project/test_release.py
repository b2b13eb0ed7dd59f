from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.project.scored import flights
from tests.project.worlds import HOUR, LIVE, flip
from tests.serving.worlds import tree_model

from esteira.base.errors import BadInput, CorruptArtifact, NotFound
from esteira.base.records import RunStatus
from esteira.project.ingesting import ingest_new
from esteira.project.known_answers import known_answers
from esteira.project.release import (
    CHAMPION,
    champion_of,
    deploy,
    judge_and_register,
    load_model,
    registered,
    score,
    train,
)
from esteira.registry.bundle import Model
from esteira.serving.combining import fallback
from esteira.serving.rollout.state import RolloutUnderWay
from esteira.serving.rollout.strategies import Canary

if TYPE_CHECKING:
    from esteira.project.station import Station


def actions(station: Station) -> list[str]:
    return [f"{event.action} {event.resource}" for event in station.audit.events(limit=1_000)]


def test_a_run_stands_for_the_moment_of_the_newest_data(station: Station) -> None:
    outcome = train(station)
    assert outcome.run.status is RunStatus.DONE
    assert outcome.run.parameters["until"] == "2020-01-20T23:00:00Z"
    assert train(station, LIVE).run.parameters["until"] == "2020-01-21T00:00:00Z"


def test_a_given_parameter_holds_against_the_default(station: Station) -> None:
    outcome = train(station, parameters={"until": "2020-01-15T00:00:00Z", "days": 7})
    assert outcome.run.parameters["until"] == "2020-01-15T00:00:00Z"
    assert outcome.value("train").num_rows < 7 * 96


def test_training_again_on_the_same_data_executes_nothing(station: Station) -> None:
    outcome = train(station)
    assert all(record.cached for record in outcome.steps.values())


def test_the_same_bytes_are_one_version(station: Station) -> None:
    again = judge_and_register(station, train(station))
    assert again.version.version == 1
    assert [each.version for each in station.registry.versions("pump")] == [1]


def test_a_version_carries_its_measures_its_run_and_its_inputs(two: Station) -> None:
    version = two.version(2)
    run = two.journal.run(version.run_id)
    assert run.parameters["seed"] == 8
    assert version.tags["esteira.gates"] == "passed"
    assert version.tags["esteira.input.events"] == "events@0"
    assert version.metrics["roc_auc_low"] <= version.metrics["roc_auc"] <= version.metrics["roc_auc_high"]
    assert registered(two, version.digest) == two.registry.version("pump", 2)


def test_gateways_may_be_asked_for_every_version_that_was_registered_by_its_number(two: Station) -> None:
    assert two.routes.known("pump") == {number: two.version(number).digest for number in (1, 2)}


def test_a_version_of_an_older_project_may_be_asked_for_once_it_was_deployed(two: Station) -> None:
    with two.state.transaction() as connection:
        connection.execute("DELETE FROM known_versions")
    deploy(two, 2, "by hand")
    assert two.routes.known("pump") == {2: two.version(2).digest}


def test_the_registration_is_audited_with_the_digest(two: Station) -> None:
    events = [e for e in two.audit.events(limit=1_000) if e.action == "model.register"]
    assert [e.facts["digest"] for e in events] == [two.version(1).digest, two.version(2).digest]


def test_a_candidate_is_held_against_the_champion_and_the_baseline(two: Station) -> None:
    judged = judge_and_register(two, train(two, parameters={"seed": 8}))
    reasons = [result.reason for result in judged.gates]
    assert "of baseline" in reasons[1]
    assert "of champion" in reasons[2]
    assert judged.passed
    assert judged.until == "2020-01-20T23:00:00Z"


def test_a_candidate_that_fails_a_gate_is_registered_as_refused(station: Station) -> None:
    # A day of training rows is too little to tell the middle from the ends.
    judged = judge_and_register(station, train(station, parameters={"days": 4}))
    assert not judged.passed
    assert judged.version.tags["esteira.gates"] == "failed"
    champion = champion_of(station)
    assert champion is not None
    assert champion.version == 1


def test_scores_are_those_of_the_serving_runtime(station: Station) -> None:
    outcome = train(station)
    found = score(outcome.value("model"), outcome.value("holdout"))
    assert len(found.labels) == outcome.value("holdout").num_rows
    assert ((found.scores > 0) & (found.scores < 1)).all()


def test_a_combination_is_judged_with_time_for_every_member() -> None:
    """A holdout is late for any deadline, and what would be judged is the member for the worst case."""
    deep, fast = tree_model(0.5), tree_model(-0.5)
    rows = flights(100).append_column("late", pa.array([0, 1] * 50))
    model = fallback({"deep": deep, "fast": fast}, deadlines_ms={"deep": 1e-6})
    assert score(model, rows).scores.tolist() == score(deep, rows).scores.tolist()
    assert known_answers(model, rows)["scores"] == known_answers(deep, rows)["scores"]


def test_a_deployment_is_recorded_before_it_takes_effect(two: Station) -> None:
    before = two.routes.get("pump")
    assert before is not None
    routes = deploy(two, 2, "a try")
    assert [(a.name, a.version, a.share) for a in routes.arms] == [(CHAMPION, 2, 1.0)]
    assert routes.revision == before.revision + 1
    assert routes.salt == before.salt
    assert actions(two)[-2:] == ["model.promote pump@2", "routes.set model/pump"]
    alias = two.registry.alias("pump", CHAMPION)
    assert alias is not None
    assert alias.version == 2


def test_deploying_what_serves_changes_no_route(station: Station) -> None:
    before = station.routes.get("pump")
    assert deploy(station, 1, "again") == before


def test_an_unknown_version_is_not_deployed(station: Station) -> None:
    before = actions(station)
    with pytest.raises(NotFound, match="version '7 of model pump'"):
        deploy(station, 7, "a try")
    assert actions(station) == before


def test_a_corrupt_bundle_is_refused_before_anything_is_changed(two: Station) -> None:
    flip(two.artifacts.folder(two.version(2).digest) / "model.txt")
    before = (actions(two), two.routes.get("pump"), two.promotions.history("pump"))
    with pytest.raises(CorruptArtifact, match=r"model\.txt of model bundle"):
        deploy(two, 2, "a try")
    assert (actions(two), two.routes.get("pump"), two.promotions.history("pump")) == before


def test_a_version_of_another_tool_is_not_deployed(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    client = station.registry._client()  # as another tool would register it
    client.create_model_version("pump", f"file:{station.settings.root}")
    with pytest.raises(BadInput, match="was not registered by esteira"):
        deploy(station, 2, "a try")


def test_nothing_is_deployed_over_a_rollout(two: Station) -> None:
    two.rollouts.start("pump", 1, 2, Canary())
    with pytest.raises(RolloutUnderWay, match="esteira rollback"):
        deploy(two, 1, "in a hurry")


def test_a_bundle_whose_artifact_is_gone_comes_back_from_the_registry(station: Station) -> None:
    version = station.version(1)
    known = load_model(station, version)
    shutil.rmtree(station.artifacts.folder(version.digest))
    assert load_model(station, version).files == known.files
    assert station.artifacts.check() == []
    assert Model.load(station.artifacts.folder(version.digest)) == known  # where gateways look for it


def test_without_routes_there_is_no_champion(station: Station) -> None:
    station.settings.home.joinpath("state.db").unlink()
    assert champion_of(station) is None


def test_new_rows_move_the_default_moment(station: Station) -> None:
    ingest_new(station, LIVE + 5 * HOUR)
    assert train(station).run.parameters["until"] == "2020-01-21T05:00:00Z"
