"""Two workers whose models are swapped under load: nothing fails, nothing mixes, nothing is old."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.serving.test_process import TWO_WORKERS, Caller, Load, children, deploy
from tests.serving.worlds import project, tree_score

from esteira.serving.live.agreement import served_by_all
from esteira.serving.live.swaps import swap_repeatedly
from esteira.serving.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.base.settings import Settings

pytestmark = pytest.mark.slow

SWAPS = 100


def low_of(number: int) -> float:
    return -1.0 - number / 8


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = project(tmp_path / "p", TWO_WORKERS)
    deploy(settings, low_of(1))
    return settings


@pytest.fixture
def gateway(settings: Settings) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(settings.root, port=0).start()
    yield gateway
    gateway.kill()


def shared(gateway: GatewayProcess, settings: Settings) -> Path:
    return settings.home / "gateway" / str(urlsplit(gateway.url).port)


def check_answers(load: Load, acknowledged: list[tuple[float, int]]) -> None:
    assert load.broken == []
    assert {status for _, _, status, _ in load.answers} == {200}
    for _, _, _, document in load.answers:
        revision = document["parameters"]["route_revision"]
        assert document["outputs"][0]["data"] == [tree_score(low_of(revision))]
    at_of = {name: at for at, name, _, _ in load.answers}
    for _, name, _, document in load.answers:
        lane, number = name.split("-")
        asked_after = at_of.get(f"{lane}-{int(number) - 1}", 0.0)  # the answer before on the same connection
        in_force = max((revision for at, revision in acknowledged if at < asked_after), default=1)
        assert document["parameters"]["route_revision"] >= in_force


def test_swaps_of_two_workers_under_load_fail_no_request_and_go_never_back(
    gateway: GatewayProcess, settings: Settings
) -> None:
    load = Load(gateway.url, threads=4)
    facts = swap_repeatedly(lambda n: deploy(settings, low_of(n + 1)), SWAPS, shared(gateway, settings))
    time.sleep(0.1)
    load.end()
    assert [each.revision for each in facts] == list(range(2, SWAPS + 2))
    check_answers(load, [(each.served_at, each.revision) for each in facts])
    assert len({d["parameters"]["route_revision"] for _, _, _, d in load.answers}) > SWAPS / 2


def test_a_worker_killed_between_swaps_comes_back_to_what_the_others_serve(
    gateway: GatewayProcess, settings: Settings
) -> None:
    folder = shared(gateway, settings)
    swap_repeatedly(lambda n: deploy(settings, low_of(n + 1)), 3, folder)
    os.kill(children(gateway.pid)[0], signal.SIGKILL)
    facts = swap_repeatedly(lambda n: deploy(settings, low_of(n + 4)), 3, folder)
    assert facts[-1].revision == 7
    deadline = time.monotonic() + 20
    while len(children(gateway.pid)) < 2 or served_by_all(folder, "late") != 7:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    assert served_by_all(folder, "late") == 7
    for n in range(30):
        with Caller(gateway.url) as caller:  # either worker
            assert caller.infer(f"f{n}")[1]["parameters"]["route_revision"] == 7
