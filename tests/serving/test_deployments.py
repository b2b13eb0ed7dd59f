from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.worlds import World, tree_model

from esteira.base.errors import BadInput, EsteiraError, NotFound, StorageUnwritable
from esteira.base.sqlite import Database
from esteira.governance.ledger import AuditLedger
from esteira.serving.deployments import (
    LONGEST_REASON,
    NoAuditTrail,
    Undeployable,
    open_deployments,
)
from esteira.serving.live.arms import load_arm
from esteira.serving.rollout.state import RolloutState, RolloutUnderWay
from esteira.serving.rollout.store import RolloutStore
from esteira.serving.rollout.strategies import Canary
from esteira.serving.routes import ChangeUnderWay, Routes, RoutesMoved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.serving.deployments import Deployments
    from esteira.serving.routes import Arm


class Place:
    """Two versions of `late` that may be deployed, of which the first serves."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        self.models = [tree_model(-1.0), tree_model(-2.0)]
        for version, model in enumerate(self.models, start=1):
            digest = self.world.artifacts.put(model).digest
            self.world.routes.know("late", version, digest)
        self.world.deploy(self.models[0])
        self.state = self.world.settings.store("state")
        self.deployments = self.open(self.trial)

    def open(self, trial: Callable[[Arm], object]) -> Deployments:
        audit = partial(AuditLedger, self.world.settings.store("audit"), self.world.clock)
        return open_deployments(self.state, self.world.clock, trial, audit)

    def trial(self, arm: Arm) -> object:
        return load_arm(arm, self.world.artifacts.folder, lambda _: pytest.fail("there is no view"))

    @property
    def bundle(self) -> Path:
        return self.world.artifacts.folder(self.world.routes.known("late")[2])

    @property
    def routes(self) -> Routes:
        found = self.world.routes.get("late")
        assert found is not None
        return found

    def rollouts(self) -> RolloutStore:
        ledger = AuditLedger(self.world.settings.store("audit"), self.world.clock, "test")
        return RolloutStore(self.state, ledger, self.world.clock)

    def records(self) -> list[tuple[str, str, str, str]]:
        ledger = AuditLedger(self.world.settings.store("audit"), self.world.clock, "test")
        return [(each.actor, each.action, each.resource, each.reason) for each in ledger.events()]

    def promotions(self) -> list[tuple[Any, ...]]:
        sql = "SELECT name, version, alias, previous_version, reason FROM promotions ORDER BY id"
        return [tuple(row) for row in Database(self.state).rows(sql)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_deployed_version_is_champion_with_the_whole_share_and_the_salt_stays(place: Place) -> None:
    routes = place.deployments.deploy("late", 2, "ana", "better")
    assert routes == place.routes
    assert [(arm.name, arm.version, arm.share) for arm in routes.arms] == [("champion", 2, 1.0)]
    assert (routes.salt, routes.revision) == ("s", 2)


def test_who_deployed_and_why_is_recorded_and_the_promotion_is_intended(place: Place) -> None:
    place.deployments.deploy("late", 2, "ana", "better")
    assert place.records() == [
        ("key:ana", "model.promote", "late@2", "better"),
        ("key:ana", "routes.set", "model/late", "better"),
    ]
    assert place.promotions() == [("late", 2, "champion", 1, "better")]


def test_the_record_comes_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageUnwritable("audit.db", "disk full")

    monkeypatch.setattr(AuditLedger, "record", full)
    before = place.routes
    for change in (
        lambda: place.deployments.deploy("late", 2, "ana", ""),
        lambda: place.deployments.unload("late", "ana", ""),
    ):
        with pytest.raises(StorageUnwritable):
            change()
    assert (place.routes, place.promotions(), place.world.routes.unloaded()) == (before, [], set())


def test_what_serves_already_is_not_deployed_again(place: Place) -> None:
    assert place.deployments.deploy("late", 1, "ana", "again") == place.routes
    assert (place.routes.revision, place.records(), place.promotions()) == (1, [], [])


def test_a_model_that_was_never_deployed_gets_its_first_routes(place: Place) -> None:
    place.world.routes.know("early", 7, place.world.routes.known("late")[2])
    routes = place.deployments.deploy("early", 7, "ana", "the first")
    assert (routes.champion.version, routes.salt, routes.revision) == (7, "early", 1)
    assert place.promotions() == [("early", 7, "champion", None, "the first")]


def test_a_version_that_nobody_registered_is_not_found_and_those_known_are_named(place: Place) -> None:
    with pytest.raises(NotFound, match=r"may be loaded: 1, 2; .*esteira deploy 3"):
        place.deployments.deploy("late", 3, "ana", "")
    with pytest.raises(NotFound, match="may be loaded: none"):
        place.deployments.deploy("nowhere", 1, "ana", "")
    assert (place.records(), place.promotions()) == ([], [])


def damaged(place: Place) -> None:
    (place.bundle / "model.txt").write_bytes(b"x")


def missing(place: Place) -> None:
    place.bundle.rename(place.bundle.with_name("elsewhere"))


@pytest.mark.parametrize("harm", [damaged, missing])
def test_a_version_whose_bundle_is_not_whole_is_refused_and_nothing_changes(
    place: Place, harm: Callable[[Place], None]
) -> None:
    harm(place)
    before = place.routes
    with pytest.raises(Undeployable, match=r"version 2 of late cannot be served: .*; what serves stays"):
        place.deployments.deploy("late", 2, "ana", "")
    assert (place.routes, place.records(), place.promotions()) == (before, [], [])


def test_a_bundle_that_breaks_its_loader_is_refused_without_its_words(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Arm) -> object:
        raise ZeroDivisionError("secret words")

    with pytest.raises(Undeployable, match="the gateway's log says why") as refused:
        place.open(broken).deploy("late", 2, "ana", "")
    assert "secret" not in str(refused.value)
    assert "secret words" in caplog.text
    assert place.records() == []


def test_a_rollout_under_way_refuses_a_deployment(place: Place) -> None:
    rollout = place.rollouts().start("late", 1, 2, Canary(), "try it")
    with pytest.raises(RolloutUnderWay, match="esteira rollback"):
        place.deployments.deploy("late", 2, "ana", "")
    assert place.routes.champion.version == 1
    place.rollouts().finish(rollout, RolloutState.ROLLED_BACK, "enough")
    assert place.deployments.deploy("late", 2, "ana", "").champion.version == 2


def test_a_rollout_that_begins_while_a_version_is_tried_refuses_it_too(place: Place) -> None:
    def slow(arm: Arm) -> object:
        place.rollouts().start("late", 1, 2, Canary(), "try it")
        return place.trial(arm)

    with pytest.raises(RolloutUnderWay):
        place.open(slow).deploy("late", 2, "ana", "")
    assert (place.routes.revision, place.promotions()) == (1, [])


class Meeting:
    """Trials that end when all who came to it have begun theirs."""

    def __init__(self, place: Place, count: int) -> None:
        self._place, self._all = place, threading.Barrier(count)

    def trial(self, arm: Arm) -> object:
        self._all.wait(10)
        return self._place.trial(arm)


def at_once(place: Place, *versions: int) -> list[Routes | Exception]:
    """What deployments of versions say that begin from the same routes."""
    deployments = place.open(Meeting(place, len(versions)).trial)

    def deploy(version: int) -> Routes | Exception:
        try:
            return deployments.deploy("late", version, "ana", f"to {version}")
        except EsteiraError as refused:
            return refused

    with ThreadPoolExecutor(len(versions)) as pool:
        return list(pool.map(deploy, versions))


def test_of_deployments_at_once_one_is_made_and_the_others_are_told_what_is_in_force(place: Place) -> None:
    for version in (3, 4):
        digest = place.world.artifacts.put(tree_model(-float(version))).digest
        place.world.routes.know("late", version, digest)
    said = at_once(place, 2, 3, 4)
    (made,) = [each for each in said if isinstance(each, Routes)]
    moved = [each for each in said if isinstance(each, RoutesMoved)]
    assert len(moved) == 2
    assert all(f"revision 2: champion {made.champion.version} (100%)" in str(each) for each in moved)
    assert (place.routes, place.routes.revision) == (made, 2)
    assert [row[1:4] for row in place.promotions()] == [(made.champion.version, "champion", 1)]
    assert len(place.records()) == 2


def test_deployments_of_one_version_at_once_are_one(place: Place) -> None:
    assert at_once(place, 2, 2, 2) == [place.routes] * 3
    assert (place.routes.revision, len(place.promotions())) == (2, 1)


def test_a_deployment_waits_for_a_change_that_is_being_decided_on(place: Place) -> None:
    tried, said = threading.Event(), []

    def trial(arm: Arm) -> object:
        tried.set()
        return place.trial(arm)

    def deploy() -> None:
        try:
            said.append(place.open(trial).deploy("late", 2, "ana", ""))
        except RolloutUnderWay as busy:
            said.append(busy)

    thread = threading.Thread(target=deploy)
    with place.world.routes.changing():  # as a rollout holds it from its start to its first share
        thread.start()
        assert tried.wait(10)
        time.sleep(0.1)
        assert place.routes.revision == 1
        place.rollouts().start("late", 1, 2, Canary(), "try it")
    thread.join(10)
    assert isinstance(said[0], RolloutUnderWay)
    assert (place.routes.revision, place.promotions()) == (1, [])


def test_a_deployment_waits_only_so_long_for_a_change_that_does_not_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esteira.serving.deployments.PATIENCE_S", 0.05)
    with place.world.routes.changing(), pytest.raises(ChangeUnderWay, match="ask again") as refused:
        place.deployments.deploy("late", 2, "ana", "")
    assert refused.value.status == 409
    assert (place.routes.revision, place.promotions()) == (1, [])
    assert place.deployments.deploy("late", 2, "ana", "").champion.version == 2


def test_a_model_leaves_memory_and_comes_back_with_a_record_of_each(place: Place) -> None:
    place.deployments.unload("late", "ana", "too large")
    place.deployments.unload("late", "ana", "again")
    assert place.world.routes.unloaded() == {"late"}
    assert place.deployments.load("late", "bea", "needed") == place.routes
    place.deployments.load("late", "bea", "again")
    assert place.world.routes.unloaded() == set()
    assert place.records() == [
        ("key:ana", "model.unload", "model/late", "too large"),
        ("key:bea", "model.load", "model/late", "needed"),
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_deploying_a_version_lets_an_unloaded_model_back_in(place: Place, version: int) -> None:
    place.deployments.unload("late", "ana", "")
    place.deployments.deploy("late", version, "ana", "")
    assert place.world.routes.unloaded() == set()
    assert place.records()[-1][1] == "model.load"


def test_what_has_no_routes_is_neither_loaded_nor_unloaded(place: Place) -> None:
    with pytest.raises(NotFound, match="it has no routes"):
        place.deployments.load("nowhere", "ana", "")
    with pytest.raises(NotFound, match="it has no routes"):
        place.deployments.unload("nowhere", "ana", "")
    assert place.records() == []


def test_without_an_audit_trail_nothing_is_changed(place: Place) -> None:
    deaf = open_deployments(place.state, place.world.clock, place.trial, None)
    for change in (
        lambda: deaf.deploy("late", 2, "ana", ""),
        lambda: deaf.load("late", "ana", ""),
        lambda: deaf.unload("late", "ana", ""),
    ):
        with pytest.raises(NoAuditTrail, match="--audit"):
            change()
    assert (place.routes.revision, place.world.routes.unloaded()) == (1, set())


def test_an_endless_reason_is_refused(place: Place) -> None:
    with pytest.raises(BadInput, match="at most 500 characters, found 501"):
        place.deployments.unload("late", "ana", "x" * (LONGEST_REASON + 1))
    place.deployments.unload("late", "ana", "x" * LONGEST_REASON)
