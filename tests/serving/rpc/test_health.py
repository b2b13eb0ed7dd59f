from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.serving.rpc.callers import Asking, message
from tests.serving.worlds import World, tree_model

from esteira.base.errors import NotFound
from esteira.serving.rpc.health import (
    NOT_SERVING,
    SERVICE_UNKNOWN,
    SERVING,
    answer,
    check,
    service_of,
    status_of,
)
from esteira.serving.rpc.messages import INFERENCE, MESSAGES, MalformedMessage

if TYPE_CHECKING:
    from pathlib import Path


def asked(name: str) -> bytes:
    content: bytes = message("HealthCheckRequest", service=name).SerializeToString()
    return content


@pytest.mark.parametrize("name", ["", INFERENCE])
def test_the_health_is_that_of_the_models(tmp_path: Path, name: str) -> None:
    world = World(tmp_path)
    service = Asking(world).service
    assert check(service, asked(name)) == answer(NOT_SERVING) == b"\x08\x02"
    world.deploy(tree_model(-1.0))
    assert check(service, asked(name)) == answer(SERVING) == b"\x08\x01"
    world.live.draining.begin()
    assert check(service, asked(name)) == answer(NOT_SERVING)


def test_a_service_that_there_is_not_is_not_found_and_unknown_to_a_watcher(tmp_path: Path) -> None:
    service = Asking(World(tmp_path)).service
    with pytest.raises(NotFound, match=INFERENCE):
        check(service, asked("shop.Basket"))
    assert status_of(service, "shop.Basket") == SERVICE_UNKNOWN
    assert MESSAGES["HealthCheckResponse"].FromString(answer(SERVICE_UNKNOWN)).status == 3


def test_a_question_that_is_no_message_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        service_of(b"\x0a\xff")
