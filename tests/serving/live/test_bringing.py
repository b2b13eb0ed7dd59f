from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.serving.workers import ROW, look
from tests.serving.worlds import World, deployment, tree_model, tree_score

from esteira.base.errors import NotFound
from esteira.serving.live import assembly
from esteira.serving.live.availability import ModelUnavailable, NotLoaded
from esteira.serving.live.memory import OWN_BYTES
from esteira.serving.live.routes import LiveLimits, LiveRoutes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.routes import Arm

ROOM_FOR = 4  # models of the size of a tree


class Shop:
    """Models on disk, of which a few fit in memory."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(root)
        self.loads: list[str] = []
        self.pause_s = 0.0
        real = assembly.load_arm

        def load_arm(arm: Arm, *given: object) -> LoadedArm:
            self.loads.append(arm.digest)
            time.sleep(self.pause_s)
            return real(arm, *given)

        monkeypatch.setattr(assembly, "load_arm", load_arm)
        self.live = self.open(ROOM_FOR)

    def open(self, room_for: int, limits: LiveLimits | None = None) -> LiveRoutes:
        memory = room_for * (OWN_BYTES + 8_000)
        return LiveRoutes(
            self.world.routes,
            self.world.artifacts.folder,
            lambda _views: pytest.fail("no views"),
            self.world.metrics,
            limits or LiveLimits(memory_bytes=memory, load_s=5),
        )

    def stock(self, count: int) -> None:
        for n in range(count):
            model = tree_model(-1.0 - n)
            self.world.routes.set(deployment(self.world.artifacts, model, name=f"m{n}"))
        self.live.refresh()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    shop = Shop(tmp_path, monkeypatch)
    yield shop
    shop.live.close()


def score(live: LiveRoutes, name: str) -> float:
    return live.bring(name).champion.runtime.predict_row(ROW)


def test_nothing_is_loaded_before_it_is_asked_for_and_the_gateway_is_ready(shop: Shop) -> None:
    shop.stock(10)
    assert shop.loads == []
    assert shop.live.is_ready()
    with pytest.raises(NotLoaded) as absent:
        raise shop.live.absent("m3")
    assert absent.value.model == "m3"
    assert score(shop.live, "m3") == tree_score(-4.0)
    assert list(shop.live.models) == ["m3"]


def test_the_least_recently_used_leave_when_memory_is_full(shop: Shop) -> None:
    shop.stock(6)
    for at, n in enumerate((0, 1, 2, 3)):
        shop.live.bring(f"m{n}").used_at = at
    shop.live.models["m0"].used_at = 10
    shop.live.bring("m4")
    assert "m1" not in shop.live.models
    assert "m0" in shop.live.models
    assert len(shop.live.models) == ROOM_FOR


def test_one_load_for_however_many_ask_at_once(shop: Shop) -> None:
    shop.stock(1)
    shop.pause_s = 0.05
    with ThreadPoolExecutor(16) as threads:
        scores = list(threads.map(lambda _: score(shop.live, "m0"), range(16)))
    assert set(scores) == {tree_score(-1.0)}
    assert len(shop.loads) == 1


def test_threads_that_ask_for_more_than_fits_all_get_the_right_model(shop: Shop) -> None:
    shop.stock(12)
    wrong: list[str] = []

    def ask(seed: int) -> None:
        drawn = random.Random(seed)
        for at in range(40):
            n = min(int(drawn.paretovariate(1.0)) - 1, 11)
            model = shop.live.bring(f"m{n}")
            model.used_at = at
            if model.champion.runtime.predict_row(ROW) != tree_score(-1.0 - n):
                wrong.append(f"m{n}")

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sum(each.size for each in shop.live.models.values()) <= shop.live._table.limit


def test_what_does_not_exist_and_what_was_unloaded_is_said(shop: Shop) -> None:
    shop.stock(2)
    with pytest.raises(NotFound):
        shop.live.bring("m9")
    shop.live.bring("m1")
    shop.world.routes.set_unloaded("m1", is_unloaded=True)
    shop.live.refresh()
    assert list(shop.live.models) == []
    with pytest.raises(ModelUnavailable, match="/v2/repository/models/m1/load"):
        shop.live.bring("m1")
    shop.world.routes.set_unloaded("m1", is_unloaded=False)
    shop.live.refresh()
    assert score(shop.live, "m1") == tree_score(-2.0)


def test_what_cannot_be_loaded_is_said_to_all_who_ask_and_not_tried_at_every_request(shop: Shop) -> None:
    shop.stock(1)
    routes = shop.world.routes.get("m0")
    assert routes is not None
    model = shop.world.artifacts.folder(routes.champion.digest) / "model.txt"
    good = model.read_bytes()
    model.write_bytes(b"garbage")

    def ask(_: int) -> str:
        with pytest.raises(ModelUnavailable) as refused:
            shop.live.bring("m0")
        return refused.value.reason

    with ThreadPoolExecutor(8) as threads:
        reasons = set(threads.map(ask, range(20)))
    assert len(reasons) == 1
    assert "corrupt" in reasons.pop()
    assert len(shop.loads) == 1
    model.write_bytes(good)
    assert until_brought(shop.live, "m0")
    assert shop.live.failures == {}


def until_brought(live: LiveRoutes, name: str) -> bool:
    for _ in range(400):
        try:
            live.bring(name)
        except ModelUnavailable:
            time.sleep(0.01)
        else:
            return True
    return False


def test_a_model_larger_than_the_memory_is_refused_with_the_mend(shop: Shop) -> None:
    shop.stock(1)
    live = shop.open(0, LiveLimits(memory_bytes=1000))
    live.refresh()
    with pytest.raises(ModelUnavailable, match="memory_mb"):
        live.bring("m0")
    assert shop.loads == []


def live_refuses(live: LiveRoutes, name: str) -> None:
    with pytest.raises(ModelUnavailable):
        live.bring(name)


def test_a_model_that_hangs_holds_up_nobody_else(shop: Shop) -> None:
    shop.stock(3)
    live = shop.open(ROOM_FOR, LiveLimits(memory_bytes=10**9, load_s=0.1))
    live.refresh()
    shop.pause_s = 3.0
    hanging = [threading.Thread(target=live_refuses, args=(live, f"m{n}")) for n in (0, 1)]
    for each in hanging:
        each.start()
    time.sleep(0.05)
    shop.pause_s = 0.0
    assert score(live, "m2") == tree_score(-3.0)
    for each in hanging:
        each.join()
    assert "has not ended" in str(live.absent("m0"))


def test_a_model_in_memory_is_swapped_and_one_that_is_not_is_loaded_as_it_is_then(shop: Shop) -> None:
    shop.stock(2)
    shop.live.bring("m0")
    for name in ("m0", "m1"):
        shop.world.routes.set(deployment(shop.world.artifacts, tree_model(-9.0), name=name))
    shop.live.refresh()
    assert shop.live.models["m0"].routes.revision == 2
    assert "m1" not in shop.live.models
    assert shop.live.bring("m1").routes.revision == 2


def test_routes_that_change_while_they_are_brought_in_are_brought_in_as_they_are_then(shop: Shop) -> None:
    shop.stock(1)
    shop.pause_s = 0.2
    with ThreadPoolExecutor(1) as threads:
        brought = threads.submit(shop.live.bring, "m0")
        time.sleep(0.05)
        shop.world.routes.set(deployment(shop.world.artifacts, tree_model(-9.0), name="m0"))
        look(shop.live)
        assert brought.result().routes.revision == 2
