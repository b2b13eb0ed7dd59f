from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.shadow.shadowed import counted, is_held, logged, process_of, settled, shadow, tree
from tests.serving.test_process import Caller, Load, is_running, until
from tests.serving.worlds import project, tree_score

from esteira.monitoring.failure_log import SHADOW_FAILURES
from esteira.monitoring.prediction_log import PREDICTIONS, SHADOWS
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.load.processes import family
from esteira.serving.mirroring.plans import Plan
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import Routes, RouteStore

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings

pytestmark = pytest.mark.slow

ASKED = 200


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return project(tmp_path / "p")


def ask(caller: Caller, *names: str) -> None:
    for name in names:
        status, said = caller.infer(name, f"key of {name}")
        assert (status, said["outputs"][0]["data"]) == (200, [tree_score(-1.0)])


def of(load: Load) -> set[str]:
    """The ids of a load, all of them answered by the champion."""
    assert load.broken == []
    assert {status for _, _, status, _ in load.answers} == {200}
    assert {said["outputs"][0]["data"][0] for _, _, _, said in load.answers} == {tree_score(-1.0)}
    return {name for _, name, _, _ in load.answers}


def test_a_shadow_is_asked_all_that_was_answered_under_the_same_ids(settings: Settings) -> None:
    shadow(settings, tree(-1.0), tree(-2.0))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert until(lambda: is_held(caller))
        ask(caller, *(f"r{n}" for n in range(ASKED)))
        assert caller.ask("POST", "/invocations", {"inputs": {"miles": "far"}})[0] == 400  # not answered
        assert caller.ask("POST", "/v2/models/late/versions/1/infer", {"inputs": INPUTS})[0] == 200  # pinned
        assert settled(caller) == {"mirrored": ASKED, "answered": ASKED}
    answered, besides = logged(settings, PREDICTIONS), logged(settings, SHADOWS)
    same = ("id", "key", "at", "model", "revision")
    assert [[each[name] for name in same] for each in besides] == [
        [each[name] for name in same] for each in answered if each["arm"] == "champion"
    ]
    assert {(each["arm"], each["version"], each["score"]) for each in besides} == {
        ("next", 2, tree_score(-2.0))
    }
    assert logged(settings, SHADOW_FAILURES) == []


def test_what_was_answered_when_the_gateway_is_told_to_end_is_still_asked(settings: Settings) -> None:
    shadow(settings, tree(-1.0), tree(-2.0))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert until(lambda: is_held(caller))
        ask(caller, *(f"r{n}" for n in range(50)))
        gateway.stop()
    assert {each["id"] for each in logged(settings, SHADOWS)} == {f"r{n}" for n in range(50)}


def test_a_share_is_sticky_by_key(settings: Settings) -> None:
    plan = Plan(shadow(settings, tree(-1.0), tree(-2.0), share=0.1))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert until(lambda: is_held(caller))
        for turn in range(2):
            for n in range(ASKED):
                assert caller.infer(f"{turn}-{n}", f"k{n}")[0] == 200
        settled(caller)
    chosen = {f"k{n}" for n in range(ASKED) if plan.of_key(f"k{n}")}
    assert 5 < len(chosen) < 40
    for turn in range(2):
        asked = [each["key"] for each in logged(settings, SHADOWS) if each["id"].startswith(f"{turn}-")]
        assert len(asked) == len(chosen)
        assert set(asked) == chosen


def test_a_shadow_that_dies_again_and_again_changes_no_answer_and_each_loss_is_counted(
    settings: Settings,
) -> None:
    shadow(settings, tree(-1.0), tree(-2.0))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert until(lambda: is_held(caller))
        load = Load(gateway.url, threads=2)
        for _ in range(2):
            time.sleep(0.3)
            died = process_of(gateway.pid)
            os.kill(died, signal.SIGKILL)
            assert until(lambda died=died: process_of(gateway.pid) != died)
            assert until(lambda: is_held(caller), 30)
        time.sleep(0.3)
        load.end()
        names, counts = of(load), settled(caller)
        assert counts["mirrored"] == len(names)
        assert counts["answered"] > 0
        lost = counts.get("lost", 0) + counts.get("dropped", 0)
        gone = names - {each["id"] for each in logged(settings, SHADOWS)}
        # Of what was lost some had been put down before the process could say so.
        assert len(gone) <= lost


def test_a_shadow_that_hangs_fills_the_queue_and_what_is_dropped_is_counted(settings: Settings) -> None:
    shadow(settings, tree(-1.0), tree(-2.0))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert until(lambda: is_held(caller))
        hangs = process_of(gateway.pid)
        os.kill(hangs, signal.SIGSTOP)
        # Bodies whose rows are the same and that are large, so that the queue's bytes run out soon.
        rows = json.dumps({"inputs": [{"miles": 100, "carrier": "UA"}], "params": {"x": "x" * 2_000_000}})
        for _ in range(30):
            status, said = caller.ask("POST", "/invocations", json.loads(rows))
            assert (status, said) == (200, {"predictions": [tree_score(-1.0)]})
        assert until(lambda: counted(caller).get("dropped", 0) > 5)
        os.kill(hangs, signal.SIGCONT)
        counts = settled(caller)
        assert counts == {"mirrored": 30, "answered": 30 - counts["dropped"], "dropped": counts["dropped"]}
        ask(caller, "after")
        assert until(lambda: any(each["id"] == "after" for each in logged(settings, SHADOWS)))
    assert len(logged(settings, SHADOWS)) == 31 - counts["dropped"]


def test_a_shadow_that_cannot_be_loaded_is_said_and_comes_when_it_can(settings: Settings) -> None:
    routes = shadow(settings, tree(-1.0), tree(-2.0))
    folder = ArtifactStore(settings.store("artifacts")).folder(routes.shadows[0].digest)
    folder.rename(folder.with_suffix(".hidden"))
    gateway = GatewayProcess(settings.root, port=0)
    with gateway, Caller(gateway.url) as caller:
        ask(caller, "f1", "f2")
        assert settled(caller) == {"mirrored": 2, "failed": 2}
        assert not is_held(caller)
        found = [(each["id"], each["status"], each["arm"]) for each in logged(settings, SHADOW_FAILURES)]
        assert found == [("f1", 503, "next"), ("f2", 503, "next")]
        assert gateway.log.read_text().count("a shadow cannot be loaded") == 1
        folder.with_suffix(".hidden").rename(folder)
        assert until(lambda: is_held(caller), 20)
        ask(caller, "f3")
        assert settled(caller) == {"mirrored": 3, "failed": 2, "answered": 1}


def test_a_shadow_with_another_signature_reads_the_same_requests(settings: Settings) -> None:
    from tests.serving.shadow.test_doors import TURNED
    from tests.serving.worlds import tree_model

    shadow(settings, tree(-1.0), tree_model(-2.0, TURNED))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert until(lambda: is_held(caller))
        ask(caller, "f1")
        assert settled(caller) == {"mirrored": 1, "answered": 1}
    (answer,) = logged(settings, SHADOWS)
    assert answer["vector"] == [0.0, 100.0]


def test_the_process_comes_with_the_shadow_and_goes_with_it_and_yields_to_all(settings: Settings) -> None:
    routes = shadow(settings, tree(-1.0), tree(-2.0))
    store = RouteStore(settings.store("state"))
    store.set(Routes("late", routes.arms, routes.salt))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        ask(caller, "f1")
        assert len(family(gateway.pid)) == 2
        store.set(routes)
        pid = process_of(gateway.pid)
        assert until(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 19)
        assert until(lambda: is_held(caller))
        store.set(Routes("late", routes.arms, routes.salt))
        assert until(lambda: not is_running(pid))
        ask(caller, "f2")
        assert counted(caller).get("mirrored", 0) == 0


def test_nothing_outlives_a_worker_that_was_killed(settings: Settings) -> None:
    shadow(settings, tree(-1.0), tree(-2.0))
    gateway = GatewayProcess(settings.root, port=0).start()
    pid = process_of(gateway.pid)
    worker = family(gateway.pid)[1]
    os.kill(worker, signal.SIGKILL)
    assert until(lambda: not is_running(pid))
    assert until(lambda: len(family(gateway.pid)) == 3)  # another worker, and its process
    gateway.kill()
    assert until(lambda: family(gateway.pid) == [])


def test_calls_of_grpc_are_mirrored_too(settings: Settings) -> None:
    pytest.importorskip("grpc")
    from tests.serving.rpc.clients import client_of, columns

    from esteira.serving.rpc.process import RpcProcess

    shadow(settings, tree(-1.0), tree(-2.0))
    with RpcProcess(settings.root, port=0) as rpc, client_of(rpc) as client:
        for n in range(20):
            client.infer("late", columns(), request_id=f"g{n}", headers={"x-esteira-key": "ana"})
        assert until(lambda: len(logged(settings, SHADOWS)) == 20)
    besides = logged(settings, SHADOWS)
    assert {(each["key"], each["arm"], each["score"]) for each in besides} == {
        ("ana", "next", tree_score(-2.0))
    }


def test_two_workers_have_a_process_each_and_lose_nothing(tmp_path: Path) -> None:
    settings = project(tmp_path / "p", '[project]\nname = "late"\n[gateway]\nworkers = 2\n')
    shadow(settings, tree(-1.0), tree(-2.0))
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert until(lambda: is_held(caller))
        load = Load(gateway.url, threads=4)
        time.sleep(0.5)
        load.end()
        names, counts = of(load), settled(caller)
        assert counts == {"mirrored": len(names), "answered": len(names)}
    assert {each["id"] for each in logged(settings, SHADOWS)} == names


INPUTS: list[dict[str, Any]] = [
    {"name": "miles", "shape": [1], "datatype": "FP64", "data": [100]},
    {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
]
