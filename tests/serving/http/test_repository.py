from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.test_deployments import Place
from tests.serving.workers import look, open_worker
from tests.serving.worlds import deployment, tree_model

from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.serving.access.roles import ADMIN, ANYBODY, Caller
from esteira.serving.deployments import NoAuditTrail, Undeployable
from esteira.serving.http import repository
from esteira.serving.http.messages import Request, Route
from esteira.serving.rollout.strategies import Canary
from esteira.serving.routes import RoutesMoved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esteira.serving.http.messages import Response

ANA = Caller("ana", frozenset({ADMIN}))


class Desk:
    """A gateway in this process that follows its store, asked by `ana`."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.world = self.place.world
        self.gateway = self.world.gateway
        self.gateway.deployments = self.place.deployments
        self.world.live.refresh()
        self.world.live.watch(lambda: None)

    def ask(
        self,
        handler: Callable[..., Response],
        document: Any = None,
        *,
        model: str = "late",
        query: str = "",
        caller: Caller = ANA,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        body = b"" if document is None else json.dumps(document).encode()
        request = Request(Route("oip", {}, model=model), headers or {}, body, query=query, caller=caller)
        response = handler(self.gateway, request)
        return response.status, json.loads(response.body)

    def load(self, **parameters: Any) -> tuple[int, Any]:
        return self.ask(repository.load, {"parameters": parameters})

    def served(self) -> int | None:
        live = self.world.live.models.get("late")
        return None if live is None else live.champion.arm.version

    def index(self, document: Any = None, caller: Caller = ANYBODY) -> list[tuple[str, str, str]]:
        status, found = self.ask(repository.index, document, caller=caller)
        assert status == 200
        return [(each["name"], each["version"], each["state"]) for each in found]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.world.live.close()


def test_a_load_with_a_version_answers_when_that_version_serves(desk: Desk) -> None:
    assert desk.served() == 1
    status, said = desk.load(version=2)
    assert (status, said) == (200, {"name": "late", "version": "2", "revision": 2, "state": "READY"})
    assert desk.served() == 2
    assert desk.load(version="1")[1]["version"] == "1"
    assert desk.served() == 1


def test_an_unmodified_client_names_the_version_in_the_query(desk: Desk) -> None:
    assert desk.ask(repository.load, {}, query="version=2")[0] == 200
    assert desk.served() == 2


@pytest.mark.parametrize(
    ("document", "query", "headers", "expected"),
    [
        ({"parameters": {"reason": "in the body"}}, "reason=no", {"x-esteira-reason": "no"}, "in the body"),
        ({}, "reason=in+the+query", {"x-esteira-reason": "no"}, "in the query"),
        (None, "", {"x-esteira-reason": "in the header"}, "in the header"),
        (None, "", {}, "asked of the gateway"),
    ],
)
def test_who_changed_what_and_why_is_on_record(
    desk: Desk, document: Any, query: str, headers: dict[str, str], expected: str
) -> None:
    desk.ask(repository.unload, document, query=query, headers=headers)
    assert desk.place.records() == [("key:ana", "model.unload", "model/late", expected)]


def test_a_model_leaves_memory_and_comes_back(desk: Desk) -> None:
    assert desk.ask(repository.unload)[1] == {"name": "late", "state": "UNAVAILABLE"}
    assert (desk.served(), desk.index()) == (None, [("late", "1", "UNAVAILABLE")])
    assert desk.ask(repository.load)[1]["state"] == "READY"
    assert (desk.served(), desk.index()) == (1, [("late", "1", "READY")])


def test_the_body_that_tritonclient_sends_with_an_unload_is_taken(desk: Desk) -> None:
    assert desk.ask(repository.unload, {"parameters": {"unload_dependents": False}})[0] == 200


def test_the_index_lists_what_the_caller_may_ask(desk: Desk) -> None:
    desk.world.routes.set(deployment(desk.world.artifacts, tree_model(-3.0), name="early"))
    desk.world.live.refresh()
    every = [("early", "1", "READY"), ("late", "1", "READY")]
    assert desk.index() == desk.index({"ready": True}) == every
    assert desk.index(caller=Caller("shop", models=("la*",))) == every[1:]
    desk.ask(repository.unload)
    assert desk.index({"ready": True}) == every[:1]
    assert desk.index({"ready": False}) == [every[0], ("late", "1", "UNAVAILABLE")]


def test_an_index_without_models_is_empty(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.world.live.close()
    assert desk.index(caller=Caller("shop", models=("other",))) == []


def test_a_rollout_under_way_is_a_conflict(desk: Desk) -> None:
    desk.place.rollouts().start("late", 1, 2, Canary(), "try it")
    status, said = desk.load(version=2)
    assert status == 409
    assert "esteira rollback" in said["error"]
    assert desk.served() == 1


def test_a_swap_that_takes_longer_is_accepted_and_says_where_to_look(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "PATIENCE_S", 0.05)
    desk.world.live.close()  # nobody follows the store
    status, said = desk.load(version=2)
    assert (status, said["state"], said["revision"]) == (202, "LOADING", 2)
    assert "/v2/repository/index" in said["look"]
    status, said = desk.ask(repository.unload)
    assert (status, said["state"]) == (202, "UNLOADING")


def test_an_unload_answers_when_no_worker_of_the_gateway_holds_the_model(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "PATIENCE_S", 0.1)
    one, other = (open_worker(desk.world.settings, tmp_path / "shared", name) for name in ("w1", "w2"))
    look(one, other, times=40)
    one.watch(lambda: None)
    desk.gateway.live = one
    try:
        for _ in range(100):  # on a busy machine the first worker may take more than one patience
            status, said = desk.ask(repository.unload)
            held = [each[:3] for each in said["held_by"]]
            if held == ["w2-"]:
                break
        assert (status, said["state"], held) == (202, "UNLOADING", ["w2-"])
        look(other)
        assert desk.ask(repository.unload) == (200, {"name": "late", "state": "UNAVAILABLE"})
    finally:
        one.close()
        other.close()


def test_a_version_that_loads_on_trial_and_not_in_force_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = desk.world.routes.set
    bundle = desk.place.bundle / "model.txt"

    def breaking(_: Any, routes: Any, **expected: Any) -> Any:
        bundle.write_bytes(b"x")
        return original(routes, **expected)

    monkeypatch.setattr("esteira.serving.routes.RouteStore.set", breaking)
    status, said = desk.load(version=2)
    assert status == 503
    assert "late could not be loaded" in said["error"]
    assert desk.served() == 1


def test_what_cannot_be_deployed_is_refused(desk: Desk) -> None:
    with pytest.raises(NotFound, match="may be loaded: 1, 2"):
        desk.load(version=3)
    (desk.place.bundle / "model.txt").write_bytes(b"x")
    with pytest.raises(Undeployable, match="corrupt"):
        desk.load(version=2)
    with pytest.raises(NotFound, match="no routes"):
        desk.ask(repository.load, model="nowhere")
    assert desk.served() == 1


@pytest.mark.parametrize(
    "version", [None, "", "x", -1, 1.5, True, [1], {"a": 1}, "1e3", "²", "9" * 40, 2**63]
)
def test_what_is_no_number_of_a_version_is_refused(desk: Desk, version: Any) -> None:
    with pytest.raises(BadInput, match=r"parameters\.version must be the number"):
        desk.load(version=version)


@pytest.mark.parametrize(
    ("handler", "document", "mend"),
    [
        (repository.load, {"parameters": {"config": "{}"}}, "from the registry"),
        (repository.load, {"parameters": {"file:1/model.onnx": "AA"}}, "from the registry"),
        (repository.load, {"parameters": {"verison": 2}}, "did you mean 'version'"),
        (repository.load, {"parameters": {"reason": 7}}, "must be a text"),
        (repository.load, {"parameters": []}, "does not fit"),
        (repository.load, [], "does not fit"),
        (repository.unload, {"parameters": {"version": 1}}, "unload the model"),
        (repository.index, {"ready": "yes"}, "does not fit"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_mend(
    desk: Desk, handler: Callable[..., Response], document: Any, mend: str
) -> None:
    with pytest.raises(BadInput, match=mend):
        desk.ask(handler, document)
    assert desk.place.records() == []


@pytest.mark.parametrize("handler", [repository.load, repository.unload])
def test_a_gateway_without_an_audit_trail_changes_nothing(
    desk: Desk, handler: Callable[..., Response]
) -> None:
    desk.gateway.deployments = None
    with pytest.raises(NoAuditTrail):
        desk.ask(handler)


def test_changes_at_once_leave_routes_and_memory_agreed(desk: Desk) -> None:
    def load(version: int) -> int:
        try:
            return desk.load(version=version)[0]
        except RoutesMoved as moved:  # somebody else was first
            return moved.status

    with ThreadPoolExecutor(5) as pool:
        said = set(pool.map(load, (2, 1, 2, 1, 2)))
    assert 200 in said
    assert said <= {200, 409}
    desk.world.live.refresh()
    assert desk.served() == desk.place.routes.champion.version


@given(body=st.binary(max_size=60) | st.text().map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_whatever_is_sent_is_answered_or_refused_as_bad_input(desk: Desk, body: bytes) -> None:
    for handler in (repository.index, repository.load):
        try:
            response = handler(desk.gateway, Request(Route("oip", {}, model="late"), {}, body, caller=ANA))
        except (BadInput, UnknownName):
            continue
        assert response.status == 200
