from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.worlds import NOON, World, deployment, tree_model, tree_score

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput, NotFound
from esteira.base.records import Label
from esteira.serving.combining import cascade
from esteira.serving.gateway import LONGEST_NAME, Question
from esteira.serving.live.availability import ModelUnavailable
from esteira.serving.routes import choose

if TYPE_CHECKING:
    from pathlib import Path

ROW = {"miles": 100, "carrier": "UA"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def split(world: World) -> World:
    world.deploy(tree_model(-1.0), tree_model(-2.0), shares=(0.5, 0.5))
    return world


def rows(count: int = 1) -> list[dict[str, Any]]:
    return [dict(ROW) for _ in range(count)]


def test_a_prediction_is_answered_and_logged_with_all_that_explains_it(world: World) -> None:
    world.deploy(tree_model(-1.0))
    answer = world.gateway.predict(Question("late", rows(), id="f1"))
    assert (answer.id, answer.version, answer.arm, answer.revision) == ("f1", "1", "champion", 1)
    assert answer.scores == [tree_score(-1.0)]
    (logged,) = world.predictions.records
    assert (logged.id, logged.at, logged.model, logged.version) == ("f1", to_micros(NOON), "late", 1)
    assert (logged.arm, logged.revision, logged.key) == ("champion", 1, "f1")
    assert logged.score == answer.scores[0]
    assert logged.vector[:2] == (100.0, 1.0)
    assert math.isnan(logged.vector[2])
    assert 0 < logged.latency < 5


def test_rows_of_one_request_are_predictions_of_their_own(world: World) -> None:
    world.deploy(tree_model(-1.0))
    asked = [{"miles": miles, "carrier": "AA"} for miles in (100, 600, 200)]
    answer = world.gateway.predict(Question("late", asked, id="f1"))
    assert answer.scores == [tree_score(-1.0), tree_score(3.0), tree_score(-1.0)]
    assert [each.id for each in world.predictions.records] == ["f1", "f1#1", "f1#2"]
    assert [each.score for each in world.predictions.records] == answer.scores
    assert {each.key for each in world.predictions.records} == {"f1"}


def test_an_id_is_made_when_there_is_none(world: World) -> None:
    world.deploy(tree_model(-1.0))
    ids = {world.gateway.predict(Question("late", rows())).id for _ in range(100)}
    assert len(ids) == 100
    assert ids == {each.id for each in world.predictions.records}


def test_the_key_decides_the_arm_and_the_id_is_the_key_when_there_is_none(split: World) -> None:
    routes = split.live.models["late"].routes
    for n in range(50):
        by_key = split.gateway.predict(Question("late", rows(), id=str(n), key="traveller"))
        assert by_key.arm == choose(routes, "traveller").name
        by_id = split.gateway.predict(Question("late", rows(), id=str(n)))
        assert by_id.arm == choose(routes, str(n)).name
    assert {each.arm for each in split.predictions.records} == {"champion", "challenger"}


def test_a_version_can_be_asked_by_name_and_is_logged_as_chosen_by_nobody(split: World) -> None:
    for version, low in (("1", -1.0), ("2", -2.0)):
        answer = split.gateway.predict(Question("late", rows(), version=version))
        assert (answer.version, answer.arm, answer.scores) == (version, "pinned", [tree_score(low)])
    assert {each.arm for each in split.predictions.records} == {"pinned"}


def test_a_version_that_does_not_serve_is_not_found(split: World) -> None:
    with pytest.raises(NotFound, match="served: 1, 2"):
        split.gateway.predict(Question("late", rows(), version="3"))


def test_an_unknown_model_is_not_found_and_those_that_serve_are_named(split: World) -> None:
    with pytest.raises(NotFound, match="served: late"):
        split.gateway.predict(Question("early", rows()))


def test_an_empty_gateway_says_that_nothing_is_deployed(world: World) -> None:
    with pytest.raises(NotFound, match="nothing is deployed"):
        world.gateway.predict(Question("late", rows()))


def test_a_model_whose_only_routes_do_not_load_is_unavailable_and_says_why(world: World) -> None:
    broken = deployment(world.artifacts, tree_model(-1.0))
    (world.artifacts.folder(broken.arms[0].digest) / "model.txt").write_bytes(b"")
    world.routes.set(broken)
    world.live.refresh()
    with pytest.raises(ModelUnavailable, match="corrupt"):
        world.gateway.predict(Question("late", rows()))


def test_a_wrong_row_is_named_and_nothing_of_its_request_is_logged(world: World) -> None:
    world.deploy(tree_model(-1.0))
    asked = [*rows(2), {"miles": "far", "carrier": "UA"}]
    with pytest.raises(BadInput, match="row 2: column 'miles'"):
        world.gateway.predict(Question("late", asked))
    assert world.predictions.records == []


def test_no_rows_are_no_predictions(world: World) -> None:
    world.deploy(tree_model(-1.0))
    assert world.gateway.predict(Question("late", [])).scores == []
    assert world.predictions.records == []


@pytest.mark.parametrize("what", ["id", "key"])
def test_an_endless_name_is_refused(world: World, what: str) -> None:
    world.deploy(tree_model(-1.0))
    world.gateway.predict(Question("late", rows(), **{what: "x" * LONGEST_NAME}))
    with pytest.raises(BadInput, match="256 characters"):
        world.gateway.predict(Question("late", rows(), **{what: "x" * (LONGEST_NAME + 1)}))


def test_labels_are_handed_on(world: World) -> None:
    labels = [Label("f1", 1.0, 5, 6), Label("f2", 0.0, 5, 6)]
    world.gateway.label(labels)
    assert world.labels.records == labels


def test_closing_closes_the_logs(world: World) -> None:
    world.gateway.close()
    assert world.predictions.is_closed
    assert world.labels.is_closed
    assert world.pushed.is_closed


def test_what_each_member_of_a_combination_gave_is_logged_of_every_row(world: World) -> None:
    world.deploy(cascade({"fast": tree_model(-1.0), "deep": tree_model(-2.0)}, {"fast": (0.2, 0.5)}))
    asked = [{"miles": miles, "carrier": "AA"} for miles in (100, 600)]
    assert world.gateway.predict(Question("late", asked[1:])).scores == [tree_score(3.0)]
    assert world.gateway.predict(Question("late", asked)).scores == [tree_score(-2.0), tree_score(3.0)]
    sure, unsure = [tree_score(3.0), math.nan], [tree_score(-1.0), tree_score(-2.0)]
    logged = [None if each.parts is None else [*each.parts] for each in world.predictions.records]
    assert repr(logged) == repr([sure, unsure, sure])


def test_a_model_that_is_no_combination_has_no_parts(world: World) -> None:
    world.deploy(tree_model(-1.0))
    world.gateway.predict(Question("late", rows()))
    world.gateway.predict(Question("late", rows(2)))
    assert [each.parts for each in world.predictions.records] == [None] * 3
