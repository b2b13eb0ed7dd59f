from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.rpc.callers import Asking, message
from tests.serving.worlds import World, tree_model
from tritonclient.grpc import service_pb2

from esteira.serving.rpc.calls import Refusal
from esteira.serving.rpc.messages import MESSAGES
from esteira.serving.rpc.service import METHODS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    return world


def test_every_call_of_ours_is_one_of_the_public_service_with_its_messages() -> None:
    public = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    for name in METHODS:
        method = public[name]
        assert method.input_type.name == f"{name}Request" in MESSAGES
        assert method.output_type.name == f"{name}Response" in MESSAGES


def test_the_server_says_that_it_lives_is_ready_and_what_it_is(world: World) -> None:
    asking = Asking(world)
    assert asking.ask("ServerLive").live
    assert asking.ask("ServerReady").ready
    found = asking.ask("ServerMetadata")
    assert (found.name, list(found.extensions)) == ("esteira", ["model_repository"])
    assert found.version


def test_a_server_without_models_or_about_to_end_is_live_but_not_ready(tmp_path: Path) -> None:
    world = World(tmp_path)
    asking = Asking(world)
    assert (asking.ask("ServerLive").live, asking.ask("ServerReady").ready) == (True, False)
    world.deploy(tree_model(-1.0))
    world.live.draining.begin()
    assert (asking.ask("ServerLive").live, asking.ask("ServerReady").ready) == (True, False)


@pytest.mark.parametrize(
    ("name", "version", "is_ready"),
    [("late", "", True), ("late", "1", True), ("late", "2", False), ("early", "", False)],
)
def test_a_model_is_ready_when_it_can_be_asked(
    world: World,
    name: str,
    version: str,
    is_ready: bool,
) -> None:
    request = message("ModelReadyRequest", name=name, version=version)
    assert Asking(world).ask("ModelReady", request).ready == is_ready


def test_the_index_lists_what_a_caller_may_ask(world: World) -> None:
    world.deploy(tree_model(-2.0), name="price")
    asking = Asking(world, "keys")
    observer = {"authorization": f"Bearer {asking.known.key('observe', models=('late',))}"}
    (only,) = asking.ask("RepositoryIndex", headers=observer).models
    assert (only.name, only.version, only.state, only.reason) == ("late", "1", "READY", "")
    everything = {"authorization": f"Bearer {asking.known.key('observe')}"}
    ready = message("RepositoryIndexRequest", ready=True)
    assert {each.name for each in asking.ask("RepositoryIndex", ready, everything).models} == {
        "late",
        "price",
    }


def test_another_repository_is_not_found(world: World) -> None:
    asking = Asking(world)
    elsewhere = message("RepositoryIndexRequest", repository_name="elsewhere")
    assert asking.ask("RepositoryIndex", elsewhere).status == "NOT_FOUND"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("access", ["open", "keys"])
@pytest.mark.parametrize("method", [*METHODS])
def test_every_call_takes_its_role_and_no_other(world: World, access: str, method: str) -> None:
    asking, need = Asking(world, access), METHODS[method].need
    request = message(f"{method}Request")
    if METHODS[method].model_field:
        setattr(request, METHODS[method].model_field, "late")

    def status(headers: dict[str, str]) -> Any:
        answer = asking.ask(method, request, headers)
        return answer.status if isinstance(answer, Refusal) else "OK"

    is_free = not need or (access == "open" and need != "admin")
    assert (status({}) == "UNAUTHENTICATED") != is_free
    assert (status(bearer("esk_wrong")) == "UNAUTHENTICATED") != is_free
    for role in ("predict", "report", "observe", "admin"):
        is_denied = status(bearer(asking.known.key(role))) == "PERMISSION_DENIED"
        assert is_denied != (is_free or role == need)
    if METHODS[method].model_field:
        other = bearer(asking.known.key(need or "predict", models=("price",)))
        assert (status(other) == "PERMISSION_DENIED") != is_free


def test_who_has_no_key_learns_nothing_of_a_request(world: World) -> None:
    asking = Asking(world, "keys")
    assert asking.ask("ModelInfer", b"\x0a\xff").status == "UNAUTHENTICATED"
    assert (
        asking.ask("ModelInfer", b"\x0a\xff", bearer(asking.known.key("predict"))).status
        == "INVALID_ARGUMENT"
    )


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
def test_nothing_is_changed_without_an_audit_trail(world: World, method: str) -> None:
    asking = Asking(world)
    admin = bearer(asking.known.key("admin"))
    refusal = asking.ask(method, message(f"{method}Request", model_name="late"), admin)
    assert (refusal.status, "no audit trail" in refusal.message) == ("UNAVAILABLE", True)
    assert world.routes.unloaded() == set()
