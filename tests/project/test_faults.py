"""Kill it anywhere: what is left is whole, and the next start goes on from there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import DAY, LIVE, ROOT, Days, esteira, problems, rehearsal_of, told

from esteira.base.clock import EPOCH
from esteira.project.parity import compare_logged
from esteira.project.release import champion_of
from esteira.project.ring import Ring
from esteira.project.station import Station, open_station
from esteira.project.verifying import verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PLAY = """
import sys
from pathlib import Path
from tests.project.worlds import DAY, LIVE, Days, open_station
with Days(open_station(Path(sys.argv[1])), LIVE + 15 * DAY) as days:
    print("live", flush=True)
    days.pass_by(15)
"""


def started(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """As a power failure would; its gateway follows."""
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert process.stdout is not None
    process.stdout.close()


def whole(root: Path) -> None:
    """What a kill left is whole, at the latest after the next round of the ring."""
    station = open_station(root)
    left = problems(verify(station))
    assert all("a round of esteira up completes" in problem for problem in left), left
    if left:
        Ring(station).tick(station.clock.now())
        assert problems(verify(open_station(root))) == []


def all_came_once(station: Station) -> None:
    until = station.clock.now() - rehearsal_of(station).step
    for table in station.project.tables:
        rows = station.tables.read(table.name).num_rows
        aside = f"{table.name}_quarantine"
        rows += station.tables.read(aside).num_rows if aside in station.tables.names() else 0
        assert rows == table.read(EPOCH, until).num_rows


def test_a_ring_killed_at_random_moments_still_ends_with_the_better_model(station: Station) -> None:
    root, chance = station.settings.root, random.Random(20130401)
    for _ in range(2):
        playing = started("-c", PLAY, str(root))
        assert playing.stdout is not None
        assert playing.stdout.readline() == "live\n"
        time.sleep(chance.uniform(0.2, 1.5))
        kill(playing)
        whole(root)
    rest = open_station(root)
    with Days(rest, LIVE + 15 * DAY) as days:
        while rest.clock.now() < LIVE + 15 * DAY:
            days.pass_by()
        days.all_drained()
        assert days.client.answers.failed == 0
    assert problems(verify(rest)) == []
    assert told(rest)[-1] == "promoted"
    champion = champion_of(rest)
    assert champion is not None
    assert champion.version == 3
    all_came_once(rest)
    ids = rest.tables.read("predictions")["id"].to_pylist()
    asked = [
        at for at in rehearsal_of(rest).questions()["asked_at"].to_pylist() if LIVE <= at < LIVE + 15 * DAY
    ]
    assert len(set(ids)) == len(asked)
    keys = rehearsal_of(rest).questions().select(["event_id", "pump", "site"])
    assert compare_logged(rest, keys, id_column="event_id").differing == 0


def test_a_demo_killed_at_a_random_moment_leaves_what_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    demo = started("-m", "esteira", "demo", "--folder", str(folder), "--until", "2013-04-05", "--no-wait")
    deadline = time.monotonic() + 60
    while not (folder / ".esteira" / "tables" / "flights" / "_delta_log").is_dir():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(random.Random().uniform(0, 4))
    kill(demo)
    code, said, errors = esteira("verify", "-C", str(folder), capsys=capsys)
    assert code == 0, said + errors
    assert said.count("whole") == 6
