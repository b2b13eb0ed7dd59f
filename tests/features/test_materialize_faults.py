"""Materialization that is killed, whose store dies, or whose range is large, ends in the exact state."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.features.histories import LAST, World, commits
from tests.features.redis_server import RedisServer
from tests.features.test_materialize import VIEWS

from esteira.base.errors import ServiceUnreachable
from esteira.features import reading, recent
from esteira.features.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.features.views import FeatureView

ROOT = Path(__file__).parents[2]
ROWS = 1_000_000
BENCHMARK = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from benchmarks import materialization as kills
print(json.dumps({}))
"""

pytestmark = pytest.mark.slow


def benchmarked(expression: str, folder: Path) -> Any:
    """What an expression over the benchmark gives, in a process of its own: it forks."""
    command = [sys.executable, "-c", BENCHMARK.format(expression), str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def test_killed_again_and_again_it_ends_in_the_exact_state(tmp_path: Path) -> None:
    found = benchmarked("asdict(kills.kill_until_done(Path(sys.argv[1]), 40))", tmp_path)
    assert found["kills"] == 40
    assert found["sigkills"] > 0
    assert found["cells"] == 1_600 * found["rounds"]
    assert found["differing"] == 0


@pytest.mark.parametrize("view", ["row", "known"])
def test_a_million_rows_need_no_more_memory_than_a_few(tmp_path: Path, view: str) -> None:
    chosen = f"next(view for view in kills.VIEWS if view.name == '{view}')"
    peak = benchmarked(f"kills.peak_megabytes(Path(sys.argv[1]), {ROWS}, {chosen})", tmp_path)
    assert 50 < peak < 512


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.mark.parametrize("keeps", ["all", "nothing"])
@pytest.mark.parametrize("view", VIEWS[1:3], ids=lambda view: view.name)
def test_a_store_that_dies_in_the_middle_is_an_error_and_the_next_run_completes(
    server: RedisServer, tmp_path: Path, view: FeatureView, keeps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 7)
    monkeypatch.setattr(recent, "SHARD", 9)
    durable = ("--appendonly", "yes", "--appendfsync", "always") if keeps == "all" else ()
    server.start(*durable)
    world = World(tmp_path)
    world.store = open_store(server.address)
    for part in commits(random.Random(3), 5):
        world.tables.append("t", part)
    told: list[int] = []

    def dying(done: int, _: int) -> None:
        told.append(done)
        if len(told) == 2:
            server.kill()

    with pytest.raises(ServiceUnreachable, match="start it or correct its URL"):
        world.materialize(view, LAST, on_progress=dying)
    assert len(told) == 2  # the third step was not written down
    assert world.ledger.entry(view).status == "running"
    server.start(*durable)
    world.materialize(view, LAST)
    assert world.online(view, LAST) == world.offline(view, LAST)
    assert world.ledger.entry(view).status == "done"
