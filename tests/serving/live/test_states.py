from __future__ import annotations

from typing import TYPE_CHECKING

from tests.serving.worlds import World, deployment, tree_model

from esteira.serving.live.routes import LiveLimits, LiveRoutes
from esteira.serving.live.states import LOADING, READY, UNAVAILABLE, UNLOADING, State, states

if TYPE_CHECKING:
    from pathlib import Path


def test_each_version_says_whether_it_can_be_asked(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0), tree_model(-2.0), shares=(0.5, 0.5))
    broken = deployment(world.artifacts, tree_model(-3.0), name="broken")
    (world.artifacts.folder(broken.champion.digest) / "model.txt").unlink()
    world.routes.set(broken)
    world.deploy(tree_model(-4.0), name="gone")
    world.routes.set_unloaded("gone", is_unloaded=True)
    world.live.refresh()
    found = {(each.name, each.version): each for each in world.live.states()}
    assert found["late", "1"] == State("late", "1", READY)
    assert found["late", "2"].state == READY
    assert (found["broken", "1"].state, "corrupt" in found["broken", "1"].reason) == (UNAVAILABLE, True)
    assert found["gone", "1"] == State("gone", "1", UNAVAILABLE, "it was unloaded")


def test_a_model_that_is_not_in_memory_is_loaded_when_first_asked(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    live = LiveRoutes(
        world.routes, world.artifacts.folder, lambda _: None, world.metrics, LiveLimits(memory_bytes=10**9)
    )
    live.refresh()
    assert live.states() == [State("late", "1", UNAVAILABLE, "loaded when first asked")]
    live.bring("late")
    assert live.states() == [State("late", "1", READY)]


def test_what_is_on_its_way_in_or_out_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    following = world.live._following
    assert states(following, {}, {}, {"late"}, is_on_demand=True) == [State("late", "1", LOADING)]
    assert states(following, {}, {}, (), is_on_demand=False) == [State("late", "1", LOADING)]
    following.unloaded = {"late"}
    assert states(following, world.live.models, {}, (), is_on_demand=False)[0].state == UNLOADING
