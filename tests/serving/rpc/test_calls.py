from __future__ import annotations

import asyncio
import gc
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.rpc.callers import Asking, inference, message
from tests.serving.worlds import World, tree_model

from esteira.base.errors import CheckFailed, StorageUnwritable
from esteira.registry.tensors import DTYPES
from esteira.serving.access.roles import NOBODY
from esteira.serving.lanes import Refused
from esteira.serving.live.arms import FeaturesUnreadable
from esteira.serving.live.availability import ModelUnavailable, NotLoaded
from esteira.serving.mirroring.channel import Channel
from esteira.serving.mirroring.messages import ASKED, Frames
from esteira.serving.mirroring.plans import Plan
from esteira.serving.routes import Shadow
from esteira.serving.rpc import calls, service
from esteira.serving.rpc.calls import DeadlineOver, Refusal
from esteira.serving.rpc.service import METHODS, Call, Method

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW = {"miles": np.array([100.0]), "carrier": np.array(["UA"], dtype=object)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    return world


@pytest.fixture
def asking(world: World) -> Asking:
    return Asking(world)


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (ModelUnavailable("late", "corrupt"), "UNAVAILABLE", "corrupt"),
        (FeaturesUnreadable("moved"), "UNAVAILABLE", "moved"),
        (Refused(429, "7 requests wait", 1, "full"), "RESOURCE_EXHAUSTED", "come back after 1 s"),
        (Refused(503, "it would wait", 1, "late"), "UNAVAILABLE", "it would wait"),
        (StorageUnwritable("/srv/secret", "full"), "UNAVAILABLE", "a store that the gateway needs"),
        (CheckFailed("no"), "UNAVAILABLE", "a store that the gateway needs"),
        (ZeroDivisionError("secret"), "INTERNAL", "internal error"),
    ],
)
def test_an_error_is_a_status_that_tells_no_secret(
    world: World, raised: Exception, status: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(world.gateway, "ask", fail)
    refusal = Asking(world).ask("ModelInfer", inference(ROW))
    assert refusal.status == status
    assert said in refusal.message
    assert "secret" not in refusal.message


def test_a_call_whose_deadline_is_over_is_not_scored(world: World) -> None:
    refusal = Asking(world).ask("ModelInfer", inference(ROW), left_s=0.0)
    assert refusal.status == "DEADLINE_EXCEEDED"
    assert world.predictions.records == []


def test_a_server_that_is_ending_refuses_what_may_be_asked_elsewhere(world: World) -> None:
    asking = Asking(world)
    asking.calls.is_ending = True
    refusal = asking.ask("ModelInfer", inference(ROW))
    assert (refusal.status, world.predictions.records) == ("UNAVAILABLE", [])
    assert asking.calls.turned_away == 1


def test_every_call_is_counted_by_its_model_or_by_none(world: World) -> None:
    asking = Asking(world)
    asking.ask("ServerLive")
    asking.ask("ModelInfer", inference(ROW))
    asking.ask("ModelInfer", inference(ROW))
    asking.ask("ModelInfer", inference(ROW, model_name="made-up"))
    asking.ask("ModelInfer", inference(ROW), left_s=0.0)
    counted = world.metrics.read()["esteira_requests_total"]
    assert counted == {
        ("", "", "", "grpc", "OK"): [1.0],
        ("late", "1", "champion", "grpc", "OK"): [2.0],
        ("", "", "", "grpc", "NOT_FOUND"): [1.0],
        ("", "", "", "grpc", "DEADLINE_EXCEEDED"): [1.0],
    }
    seconds = world.metrics.read()["esteira_request_duration_seconds"]
    assert sum(seconds["late", "grpc"][:-1]) == 2.0


def test_a_model_that_is_not_in_memory_is_brought_in_and_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, asked, brought = Asking(world), world.gateway.ask, []

    def ask(*given_: Any) -> Any:
        if not brought:
            raise NotLoaded("late")
        return asked(*given_)

    monkeypatch.setattr(world.gateway, "ask", ask)
    monkeypatch.setattr(world.live, "bring", brought.append, raising=False)
    assert asking.ask("ModelInfer", inference(ROW)).model_name == "late"
    assert brought == ["late"]


class Slow:
    """A model that comes into memory when it is let go, and a change that is in force then."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.asking = world, Asking(world)
        self.asked, self.let_go, self.brought = world.gateway.ask, threading.Event(), []
        self.changed: list[str] = []
        monkeypatch.setattr(world.gateway, "ask", self.ask)
        monkeypatch.setattr(world.live, "bring", self.bring)
        monkeypatch.setattr(service, "METHODS", {**METHODS, "RepositoryModelLoad": self.change()})
        monkeypatch.setattr(calls, "METHODS", service.METHODS)

    def ask(self, *given_: Any) -> Any:
        if not self.let_go.is_set():
            raise NotLoaded("late")
        return self.asked(*given_)

    def bring(self, model: str) -> None:
        self.brought.append(model)
        self.let_go.wait(10)

    def change(self) -> Method:
        def handler(_: Any, request: Any, _call: Call) -> Any:
            self.let_go.wait(10)
            self.changed.append(request.model_name)
            return message("RepositoryModelLoadResponse")

        return Method(handler, NOBODY, "model_name", waits=True)

    async def infer(self, left_s: float | None) -> bytes | Refusal:
        call = Call("ModelInfer", {})
        return await self.asking.calls.answer(call, inference(ROW).SerializeToString(), left_s)

    async def load(self, left_s: float | None) -> bytes | Refusal:
        content = message("RepositoryModelLoadRequest", model_name="late").SerializeToString()
        return await self.asking.calls.answer(Call("RepositoryModelLoad", {}), content, left_s)


@pytest.fixture
def slow(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow = Slow(world, monkeypatch)
    yield slow
    slow.let_go.set()


def test_whoever_waits_for_a_model_or_a_change_waits_no_longer_than_its_deadline(slow: Slow) -> None:
    async def ask() -> None:
        for refused in await asyncio.gather(slow.infer(0.05), slow.load(0.05)):
            assert isinstance(refused, Refusal)
            assert (refused.status, "that goes on" in refused.message) == ("DEADLINE_EXCEEDED", True)
        slow.let_go.set()
        assert isinstance(await slow.load(5.0), bytes)
        assert isinstance(await slow.infer(5.0), bytes)

    asyncio.run(ask())
    assert slow.changed == ["late", "late"]


def test_a_model_is_brought_once_for_all_who_wait_and_holds_up_no_change(slow: Slow) -> None:
    async def ask() -> list[bytes | Refusal]:
        waiting = [asyncio.create_task(slow.infer(None)) for _ in range(20)]
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(0.1, slow.let_go.set)
        return [await slow.load(5.0), *await asyncio.gather(*waiting)]

    answers = asyncio.run(ask())
    assert (slow.brought, slow.changed) == (["late"], ["late"])
    assert not [each for each in answers if isinstance(each, Refusal)]


def test_a_change_is_made_while_a_model_does_not_come(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(slow.world.live, "bring", lambda _: never.wait(10))

    async def ask() -> bytes | Refusal:
        waiting = [asyncio.create_task(slow.infer(0.5)) for _ in range(4)]
        await asyncio.sleep(0.05)
        slow.let_go.set()
        loaded = await slow.load(0.3)
        never.set()
        await asyncio.gather(*waiting)
        return loaded

    assert isinstance(asyncio.run(ask()), bytes)


def test_what_fails_after_its_caller_has_gone_is_logged_without_a_word_of_asyncio(
    slow: Slow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str) -> None:
        slow.let_go.wait(10)
        raise StorageUnwritable("/srv/models", "full")

    monkeypatch.setattr(slow.world.live, "bring", fail)

    async def ask() -> None:
        await slow.infer(0.05)
        slow.let_go.set()
        await asyncio.sleep(0.2)

    asyncio.run(ask())
    gc.collect()
    assert [(each.name, each.message) for each in caplog.records] == [
        ("esteira.serving.refusals", "requests cannot be answered")
    ]


def test_a_heavy_model_is_asked_in_its_lane_and_refuses_who_cannot_wait(world: World) -> None:
    asking = Asking(world)
    loaded = world.gateway.model("late").champion
    for _ in range(50):
        loaded.cost.observe(1, 0.05)
    assert asking.lanes.is_heavy(loaded, _work(world))
    assert asking.ask("ModelInfer", inference(ROW)).model_name == "late"

    async def many() -> list[bytes | Refusal]:
        content = inference(ROW).SerializeToString()
        calls = (asking.calls.answer(Call("ModelInfer", {}), content, 5.0) for _ in range(30))
        return list(await asyncio.gather(*calls))

    answers = asyncio.run(many())
    refused = [each for each in answers if isinstance(each, Refusal)]
    assert {each.status for each in refused} == {"RESOURCE_EXHAUSTED"}
    assert len(answers) - len(refused) >= 9
    assert len(world.predictions.records) == len(answers) - len(refused) + 1
    assert world.metrics.read()["esteira_requests_refused_total"] == {("late", "full"): [float(len(refused))]}


def _work(world: World) -> Any:
    from esteira.serving.rpc.inference import ask, infer

    request = inference(ROW)
    return infer(ask(world.gateway, request, {}), request).work


tensors = st.tuples(
    st.sampled_from(["miles", "carrier", "gust", "x"]),
    st.sampled_from([*DTYPES, "FP8"]),
    st.lists(st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1), max_size=3),
    st.binary(max_size=40),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(tensors, max_size=4), st.integers(0, 4))
def test_no_tensor_whatever_it_holds_is_an_internal_error(asking: Asking, sent: list[Any], raws: int) -> None:
    request = message("ModelInferRequest", model_name="late")
    for name, datatype, shape, raw in sent:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        if len(request.raw_input_contents) < raws:
            request.raw_input_contents.append(raw)
    answer = asking.ask("ModelInfer", request)
    assert not isinstance(answer, Refusal) or answer.status == "INVALID_ARGUMENT", answer


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from([100.0, 1e308, -0.0, float("inf"), float("nan")]), max_size=3), st.booleans())
def test_no_number_is_an_internal_error(
    asking: Asking,
    miles: list[float],
    raw: bool,
) -> None:
    sent = {"miles": np.array(miles), "carrier": np.array(["UA"] * len(miles), dtype=object)}
    answer = asking.ask("ModelInfer", inference(sent, raw=raw))
    assert not isinstance(answer, Refusal) or answer.status == "INVALID_ARGUMENT", answer


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([*METHODS]), st.binary(max_size=100))
def test_no_bytes_are_an_internal_error(asking: Asking, method: str, content: bytes) -> None:
    answer = asking.ask(method, content)
    known = {"INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED"}
    assert not isinstance(answer, Refusal) or answer.status in known, answer


def test_what_a_version_did_not_answer_is_logged_with_who_asked_and_why(world: World, asking: Asking) -> None:
    world.live.models["late"].champion.runtime = None  # whatever breaks in a model
    refusal = asking.ask("ModelInfer", inference(ROW, id="f1"), {"x-esteira-key": "ana"})
    assert refusal.status == "INTERNAL"
    (failed,) = world.failures.records
    assert (failed.id, failed.key, failed.version, failed.status) == ("f1", "ana", 1, 500)
    assert failed.arm == "champion"
    assert failed.reason.startswith("AttributeError: ")


@pytest.mark.parametrize("raised", [Refused(429, "7 wait", 1, "full"), DeadlineOver("the model was asked")])
def test_what_there_was_no_room_or_time_for_is_no_failure_of_a_version(
    world: World, asking: Asking, raised: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def score(*_: object) -> None:
        raise raised

    monkeypatch.setattr(asking.calls, "_score", score)
    assert isinstance(asking.ask("ModelInfer", inference(ROW)), Refusal)
    assert isinstance(asking.ask("ModelInfer", inference({"miles": ROW["miles"]})), Refusal)
    assert world.failures.records == []


def test_calls_that_were_answered_are_mirrored_and_others_are_not(world: World, asking: Asking) -> None:
    routes = world.live.models["late"].routes
    shadows = (Shadow("next", 2, "b", 1.0),)
    mirror = world.gateway.mirror
    mirror.plans = {"late": Plan(replace(routes, shadows=shadows))}
    ours, theirs = socket.socketpair()
    mirror.channel = Channel(ours)
    request = inference(ROW, id="f1")
    asking.ask("ModelInfer", request, {"x-esteira-key": "ana"})
    asking.ask("ModelInfer", inference({"miles": ROW["miles"]}))
    asking.ask("ServerLive")
    mirror.beat()
    found = [message for kind, message in Frames().feed(theirs.recv(1 << 16)) if kind == ASKED]
    ((mirrored,),) = found
    assert (mirrored.id, mirrored.key, mirrored.door) == ("f1", "ana", "grpc")
    assert mirrored.body == request.SerializeToString()
    theirs.close()
    mirror.close(0.1)
