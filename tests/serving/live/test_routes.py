from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.serving.worlds import World, deployment, tree_model, tree_score

from esteira.base.errors import NotFound, StorageUnwritable
from esteira.serving.live import assembly
from esteira.serving.live import routes as following
from esteira.serving.live.availability import ModelUnavailable
from esteira.serving.live.routes import LiveLimits, LiveRoutes
from esteira.serving.routes import Arm, Routes, RouteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW = [1.0, 0.0, 0.0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.live.close()


def score(live: LiveRoutes) -> float:
    return live.models["late"].champion.runtime.predict_row(ROW)


def until(condition: object, seconds: float = 5.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def break_bundle(world: World, digest: str) -> None:
    (world.artifacts.folder(digest) / "model.txt").write_bytes(b"garbage")


def test_nothing_is_live_before_something_is_deployed(world: World) -> None:
    world.live.refresh()
    assert world.live.models == {}


def test_routes_in_the_store_are_taken_up(world: World) -> None:
    routes = world.deploy(tree_model(-1.0))
    assert world.live.models["late"].routes == routes
    assert score(world.live) == tree_score(-1.0)


def test_a_request_in_flight_keeps_the_version_it_started_with(world: World) -> None:
    world.deploy(tree_model(-1.0))
    held = world.live.models["late"]
    world.deploy(tree_model(-2.0))
    assert held.champion.runtime.predict_row(ROW) == tree_score(-1.0)
    assert score(world.live) == tree_score(-2.0)


def test_a_changed_share_loads_no_model_again(world: World) -> None:
    models = tree_model(-1.0), tree_model(-2.0)
    world.deploy(*models, shares=(0.9, 0.1))
    before = {name: arm.runtime for name, arm in world.live.models["late"].arms.items()}
    world.deploy(*models, shares=(0.5, 0.5))
    after = world.live.models["late"].arms
    assert {name: arm.runtime for name, arm in after.items()} == before
    assert after["challenger"].arm.share == 0.5


def test_a_promoted_challenger_serves_as_champion_without_loading(world: World) -> None:
    world.deploy(tree_model(-1.0), tree_model(-2.0), shares=(0.9, 0.1))
    challenger = world.live.models["late"].arms["challenger"]
    world.routes.set(Routes("late", (Arm("champion", 2, challenger.arm.digest, 1.0),)))
    world.live.refresh()
    live = world.live.models["late"]
    assert live.champion.runtime is challenger.runtime
    assert list(live.by_version) == ["2"]


def test_a_bundle_that_does_not_load_leaves_the_old_routes(world: World) -> None:
    world.deploy(tree_model(-1.0))
    broken = deployment(world.artifacts, tree_model(-2.0))
    break_bundle(world, broken.arms[0].digest)
    world.routes.set(broken)
    world.live.refresh()
    assert score(world.live) == tree_score(-1.0)
    assert world.live.models["late"].routes.revision == 1
    assert world.live.failures["late"].revision == 2
    assert "corrupt" in world.live.failures["late"].reason


def test_one_bad_arm_keeps_the_whole_routes_out(world: World) -> None:
    world.deploy(tree_model(-1.0))
    routes = deployment(world.artifacts, tree_model(-2.0), tree_model(-3.0), shares=(0.5, 0.5))
    break_bundle(world, routes.arms[1].digest)
    world.routes.set(routes)
    world.live.refresh()
    assert world.live.models["late"].routes.revision == 1


def test_good_routes_after_bad_ones_are_taken_up_and_the_failure_forgotten(world: World) -> None:
    broken = deployment(world.artifacts, tree_model(-2.0))
    break_bundle(world, broken.arms[0].digest)
    world.routes.set(broken)
    world.live.refresh()
    assert world.live.models == {}
    world.deploy(tree_model(-1.0))
    assert score(world.live) == tree_score(-1.0)
    assert world.live.failures == {}


def test_a_failure_is_said_once_and_counted_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    broken = deployment(world.artifacts, tree_model(-2.0))
    break_bundle(world, broken.arms[0].digest)
    world.routes.set(broken)
    with caplog.at_level(logging.ERROR, "esteira"):
        for _ in range(3):
            world.live.refresh()
    assert [record.message for record in caplog.records] == ["routes not taken up"]
    assert world.metrics.read()["esteira_route_failures_total"] == {("late",): [1.0]}


def test_one_models_failure_is_none_of_another(world: World) -> None:
    broken = deployment(world.artifacts, tree_model(-2.0), name="broken")
    break_bundle(world, broken.arms[0].digest)
    world.routes.set(broken)
    world.deploy(tree_model(-1.0))
    assert set(world.live.models) == {"late"}
    assert set(world.live.failures) == {"broken"}


def test_what_serves_is_in_the_metrics(world: World) -> None:
    world.deploy(tree_model(-1.0))
    world.deploy(tree_model(-2.0))
    found = world.metrics.read()
    assert found["esteira_route_revision"] == {("late",): [2.0]}
    assert sorted(found["esteira_model_info"].values()) == [[0.0], [1.0]]


def test_a_change_by_another_process_is_taken_up_within_50_ms(world: World, tmp_path: Path) -> None:
    ticks: list[None] = []
    world.live.watch(lambda: ticks.append(None))
    other = RouteStore(world.settings.store("state"))
    other.set(deployment(world.artifacts, tree_model(-1.0)))
    assert until(lambda: "late" in world.live.models)
    delays = []
    for low in (-2.0, -3.0, -4.0, -5.0, -6.0):
        other.set(deployment(world.artifacts, tree_model(low)))
        changed = time.monotonic()
        assert until(lambda low=low: score(world.live) == tree_score(low))
        delays.append(time.monotonic() - changed)
    assert min(delays) < 0.05  # the machine may pause, the design does not
    assert ticks


def test_a_bundle_that_appears_later_is_taken_up_then(world: World) -> None:
    routes = deployment(world.artifacts, tree_model(-1.0))
    folder = world.artifacts.folder(routes.arms[0].digest)
    hidden = folder.rename(folder.with_name("hidden"))
    world.live.watch(lambda: None)
    world.routes.set(routes)
    assert until(lambda: "late" in world.live.failures)
    hidden.rename(folder)
    assert until(lambda: "late" in world.live.models)
    assert world.live.failures == {}


def test_a_follower_survives_what_its_tick_raises(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def tick() -> None:
        raise ValueError("a tick that breaks")

    world.live.watch(tick)
    world.routes.set(deployment(world.artifacts, tree_model(-1.0)))
    assert until(lambda: "late" in world.live.models)
    assert until(lambda: "trying again" in caplog.text)


def test_closing_ends_the_thread(world: World) -> None:
    world.live.watch(lambda: None)
    world.live.close()
    assert "live-routes" not in {thread.name for thread in threading.enumerate()}


def test_a_model_that_is_not_there_says_why(world: World) -> None:
    assert isinstance(world.live.absent("late"), NotFound)
    world.deploy(tree_model(-1.0), name="early")
    assert "served: early" in str(world.live.absent("late"))
    broken = deployment(world.artifacts, tree_model(-2.0))
    break_bundle(world, broken.arms[0].digest)
    world.routes.set(broken)
    world.live._following.news(is_told=True)
    assert "being loaded" in str(world.live.absent("late"))
    world.live._uptake._dirty.add("late")
    world.live.refresh()
    assert "corrupt" in str(world.live.absent("late"))
    with pytest.raises(ModelUnavailable, match="corrupt"):
        world.live.bring("late")


def test_a_gateway_is_ready_when_there_is_a_model_and_until_it_ends(world: World) -> None:
    assert not world.live.is_ready()
    world.deploy(tree_model(-1.0))
    assert world.live.is_ready()
    world.live.draining.begin()
    assert not world.live.is_ready()


def test_a_load_that_hangs_is_reported_and_what_serves_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveRoutes(
        world.routes, world.artifacts.folder, lambda _: None, world.metrics, LiveLimits(load_s=0.1)
    )
    world.routes.set(deployment(world.artifacts, tree_model(-1.0)))
    live.refresh()
    let_go = threading.Event()
    real = assembly.load_arm

    def load_arm(arm: Arm, *given: object) -> object:
        if arm.version == 2:
            let_go.wait(10)
        return real(arm, *given)

    monkeypatch.setattr(assembly, "load_arm", load_arm)
    world.routes.set(deployment(world.artifacts, tree_model(-1.0), tree_model(-2.0), shares=(0.5, 0.5)))
    world.routes.set(deployment(world.artifacts, tree_model(-3.0), name="other"))
    live.refresh()
    assert "has not ended" in live.failures["late"].reason
    assert (live.models["late"].routes.revision, live.models["other"].routes.revision) == (1, 1)
    world.routes.set(deployment(world.artifacts, tree_model(-4.0)))
    live.refresh()
    assert (live.models["late"].routes.revision, live.failures) == (3, {})
    let_go.set()


def test_a_start_does_not_wait_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    real = assembly.load_arm
    monkeypatch.setattr(assembly, "load_arm", lambda *given: (let_go.wait(10), real(*given))[1])
    world.routes.set(deployment(world.artifacts, tree_model(-1.0)))
    begun = time.monotonic()
    world.live.refresh(0.1)
    assert time.monotonic() - begun < 5
    assert world.live.models == {}
    let_go.set()
    world.live.refresh()
    assert score(world.live) == tree_score(-1.0)


def test_a_revision_that_all_serve_is_told(world: World) -> None:
    assert world.live.served_by_all("late") == 0
    world.deploy(tree_model(-1.0))
    world.live.refresh()
    assert world.live.served_by_all("late") == 1


def test_while_the_store_is_away_the_other_duties_of_a_worker_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[int] = []

    def away() -> None:
        raise StorageUnwritable("state.db", "the server is away")

    monkeypatch.setattr(world.live._uptake, "look", away)
    monkeypatch.setattr(following, "AGAIN_S", 0.01)
    world.live.watch(lambda: ticks.append(1))
    assert until(lambda: len(ticks) >= 3)
