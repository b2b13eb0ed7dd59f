from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.serving.worlds import tree_model
from tests.web.gatewayed import Gatewayed

from esteira.serving.live.agreement import Vote, votes_in
from esteira.serving.live.states import LOADING, READY, UNAVAILABLE, UNLOADING
from esteira.web.served import NO_GATEWAY, ServedModel, Standings, served_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Gatewayed]:
    world = Gatewayed(tmp_path / "p")
    yield world
    world.end()


def seen(world: Gatewayed, *, is_on_demand: bool = False) -> list[ServedModel]:
    standings = Standings(world.metrics.read(), votes_in(world.folder), is_on_demand=is_on_demand)
    return served_models(world.station.routes, standings)


def told(model: ServedModel) -> list[tuple[int, str, str]]:
    return [(each.arm.version, each.state, each.why) for each in model.versions]


def test_versions_in_memory_are_ready_with_their_shares(world: Gatewayed) -> None:
    world.deploy(tree_model(-1.0), tree_model(-2.0), shares=(0.9, 0.1))
    (model,) = seen(world)
    assert told(model) == [(1, READY, ""), (2, READY, "")]
    assert [each.arm.share for each in model.versions] == [0.9, 0.1]
    assert (model.revision, model.in_force, model.worst.word) == (1, 1, "ready")


def test_a_revision_that_nobody_has_yet_is_loading_beside_the_one_in_force(world: Gatewayed) -> None:
    world.deploy(tree_model(-1.0))
    world.deploy(tree_model(-1.0), tree_model(-2.0), shares=(0.8, 0.2), is_taken_up=False)
    (model,) = seen(world)
    assert told(model) == [(1, READY, ""), (2, LOADING, "")]
    assert [(each.revision, each.arm.share) for each in model.versions] == [(1, 1.0), (2, 0.2)]
    assert [arm.version for arm in model.serving] == [1]
    assert (model.revision, model.in_force) == (2, 1)


def test_what_cannot_be_loaded_says_why_and_long_digests_are_cut(world: Gatewayed) -> None:
    routes = world.deploy(is_taken_up=False)
    vote = Vote("tiny", routes.revision, "refused", f"expected {'ab' * 32}, found none")
    world.agreement.exchange([vote], {}, {})
    world.metrics.route_failures.add(("tiny",))
    (model,) = seen(world)
    assert told(model) == [(1, UNAVAILABLE, "expected abababababab…, found none")]
    assert (model.failures, model.worst.trouble) == (1, "expected abababababab…, found none")


def test_the_votes_of_the_dead_are_not_heard(world: Gatewayed) -> None:
    world.deploy(is_taken_up=False)
    world.agreement.exchange([Vote("tiny", 1, "refused", "a broken disk")], {}, {})
    world.agreement.close()
    assert votes_in(world.folder) == []


def test_on_demand_a_model_that_is_not_held_is_no_trouble(world: Gatewayed) -> None:
    world.deploy(is_taken_up=False)
    (model,) = seen(world, is_on_demand=True)
    assert (model.versions[0].state, model.worst.word, model.worst.trouble) == (UNAVAILABLE, "on demand", "")


def test_an_unloaded_model_leaves_and_is_gone_as_somebody_wished(world: Gatewayed) -> None:
    routes = world.deploy()
    world.station.routes.set_unloaded("tiny", is_unloaded=True)
    assert seen(world)[0].worst.state == UNLOADING
    world.metrics.model_info.set(("tiny", "1", "champion", routes.champion.digest), 0)
    (model,) = seen(world)
    assert (model.worst.state, model.worst.word, model.worst.trouble) == (UNAVAILABLE, "unloaded", "")


def test_without_a_gateway_nothing_can_be_asked(world: Gatewayed) -> None:
    world.deploy()
    (model,) = served_models(world.station.routes, Standings(None, (), is_on_demand=False))
    assert told(model) == [(1, UNAVAILABLE, NO_GATEWAY)]
    assert [arm.version for arm in model.serving] == [1]


def test_a_version_by_the_same_number_with_other_bytes_is_not_the_one_in_memory(world: Gatewayed) -> None:
    world.deploy(tree_model(-1.0))
    world.deploy(tree_model(-5.0), is_taken_up=False)
    (model,) = seen(world)
    assert [each.state for each in model.versions] == [READY, LOADING]
