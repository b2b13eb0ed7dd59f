"""Rollouts that are killed at random moments, on a project folder with two versions, while others read.

`python -m benchmarks.parts.kills FOLDER KILLS SEED` prints what was found as JSON. Each child opens the
folder anew, completes what the one before it left, and rolls versions out until it is killed; then it is
looked at what it left. This process forks, so it never asks a model: whoever did could not fork safely.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.project.release import CHALLENGER, CHAMPION
from esteira.project.rollouts.rolling import (
    abort,
    go_on,
    pause,
    promote,
    promote_by_hand,
    resume,
    shift,
    start_rollout,
    stop,
    widen,
)
from esteira.project.station import open_station
from esteira.project.verifying import verify
from esteira.serving.rollout.state import IllegalMove, RolloutState
from esteira.serving.rollout.strategies import ABTest, Bandit, BlueGreen, Canary, ChampionChallenger, Shadow
from esteira.serving.routes import choose

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.project.station import Station
    from esteira.serving.rollout.plan import RolloutPlan
    from esteira.serving.rollout.state import Rollout

PLANS: tuple[RolloutPlan, ...] = (
    Canary(bake=timedelta(0)),
    BlueGreen(),
    Shadow(),
    ChampionChallenger(),
    ABTest(segments=("beta",)),
    Bandit(),
)
KEYS = [f"key-{number}" for number in range(10)]
_SPAN_S = 0.7  # in which a child is killed once it is at work
_PENDING, _RUNNING, _PAUSED = RolloutState.PENDING, RolloutState.RUNNING, RolloutState.PAUSED
_ENDS = (RolloutState.PROMOTED, RolloutState.ROLLED_BACK)


@dataclass(slots=True)
class Found:
    """What the killed rollouts left, and what readers saw meanwhile."""

    kills: int = 0
    left: dict[str, int] = field(default_factory=dict)  # states of the newest rollout at the kill
    completed: int = 0  # kills after which `resume` had something to do
    rollouts: int = 0
    reads: int = 0
    wrong: list[str] = field(default_factory=list)


def _in_child(act: Callable[[int], None]) -> tuple[int, int]:
    """A forked process and the end of its pipe to read from; it never returns."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    code = 1
    try:
        os.close(reading)
        act(writing)
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


# ── who is killed ───────────────────────────────────────────────────────────────────────────────────────


def roll_on(folder: Path, seed: int, ready: int) -> None:
    """Complete what is there and roll out one version after the other, without end."""
    chance = random.Random(seed)
    station = open_station(folder, actor="killed")
    _ = station.project, station.registry, station.routes, station.rollouts, station.promotions
    os.write(ready, b".")
    while True:
        resume(station)
        _roll_out(station, chance)


def _roll_out(station: Station, chance: random.Random) -> None:
    rollout = station.rollouts.active(station.project.name)
    if rollout is None or rollout.state is _PENDING:
        routes = station.routes.get(station.project.name)
        assert routes is not None
        number = 3 - routes.champion.version if rollout is None else rollout.challenger_version
        start_rollout(station, number, "by hand", None if rollout else chance.choice(PLANS))
    for _ in range(chance.randrange(7)):
        _move(station, chance)
    rollout = station.rollouts.active(station.project.name)
    if rollout is not None:
        _end(station, rollout, chance)


def _move(station: Station, chance: random.Random) -> None:
    rollout = station.rollouts.active(station.project.name)
    assert rollout is not None
    with suppress(IllegalMove):  # widened at the last step, paused before it runs
        if chance.random() < 0.4:
            act = go_on if rollout.state is _PAUSED else pause
            act(station, "by hand")
        elif rollout.plan.moves_freely:
            shift(station, rollout, chance.randrange(rollout.plan.steps), "dealt anew")
        else:
            widen(station, rollout, "no harm")


def _end(station: Station, rollout: Rollout, chance: random.Random) -> None:
    if chance.random() < 0.5:
        act = chance.choice((promote_by_hand, abort))
        act(station, "by hand")
    elif rollout.is_at_last_step:
        promote(station, rollout, "better")
    else:
        stop(station, rollout, "worse")


# ── who reads meanwhile ─────────────────────────────────────────────────────────────────────────────────


def read_on(folder: Path, telling: int) -> None:
    """Ask which version answers, again and again; tell how often when asked to end."""
    station, is_over = open_station(folder), False

    def end(*_: object) -> None:
        nonlocal is_over
        is_over = True

    signal.signal(signal.SIGTERM, end)
    name, reads, wrong = station.project.name, 0, []
    store = station.routes
    while not is_over:
        routes = store.get(name)
        reads += 1
        if routes is None or any(choose(routes, key) not in routes.arms for key in KEYS):
            wrong.append(f"no version for a key at read {reads}: {routes}")
        time.sleep(0.001)
    os.write(telling, json.dumps([reads, wrong[:20]]).encode())


# ── who looks afterwards ────────────────────────────────────────────────────────────────────────────────


def illegal_path(station: Station, rollout: Rollout) -> str:
    """The first change of a rollout that its states do not allow, in words; empty when there is none."""
    path = [(each.state, each.step) for each in station.rollouts.changes(rollout.id)]
    if not path or path[0] != (_PENDING, -1) or path[-1] != (rollout.state, rollout.step):
        return f"begins or ends wrongly: {path}"
    for before, after in pairwise(path):
        if not _may_follow(before, after, rollout.plan):
            return f"{after} after {before}"
    return ""


def _may_follow(before: tuple[RolloutState, int], after: tuple[RolloutState, int], plan: RolloutPlan) -> bool:
    (state, step), (following, to) = before, after
    if state in _ENDS:
        return False
    if following is _RUNNING and to != step:
        first = state is _PENDING and to == plan.first_step
        return first or (state is _RUNNING and (to == step + 1 or plan.moves_freely))
    legal = {
        _PENDING: {_PENDING, RolloutState.ROLLED_BACK},
        _RUNNING: {_RUNNING, _PAUSED, *_ENDS},
        _PAUSED: {_PAUSED, _RUNNING, *_ENDS},
    }
    return to == step and following in legal[state]


def wrong_routes(station: Station, rollout: Rollout) -> str:
    """How the routes differ from where the newest rollout stands, in words; empty when they do not."""
    routes = station.routes.get(rollout.model)
    if routes is None:
        return "no routes"
    champion, challenger = rollout.champion_version, rollout.challenger_version
    expected = {champion: 1.0}
    if rollout.state is RolloutState.PROMOTED:
        expected = {challenger: 1.0}
    elif rollout.has_begun and not rollout.plan.mirrored:
        expected = {champion: 1 - rollout.share, challenger: rollout.share}
    found = {each.version: each.share for each in routes.arms}
    shadows = [each.name for each in routes.shadows]
    mirrored = [CHALLENGER] if rollout.has_begun and rollout.plan.mirrored else []
    if found != expected or shadows != mirrored:
        return f"{found} and shadows {shadows}, not {expected} and {mirrored}, when {rollout.standing}"
    alias = station.registry.alias(rollout.model, CHAMPION)
    if alias is None or alias.version != routes.champion.version:
        return f"{routes.champion.version} serves and the registry's champion is {alias}"
    return ""


def look(station: Station, chance: random.Random, found: Found) -> None:
    """Whether what a killed process left is legal, is completed by `resume`, and can be ended."""
    name = station.project.name
    before = station.routes.get(name)
    history = station.rollouts.history(name)
    found.kills, found.rollouts = found.kills + 1, len(history)
    state = str(history[-1].state) if history else "none"
    found.left[state] = found.left.get(state, 0) + 1
    resume(station)
    after = station.routes.get(name)
    found.completed += before != after
    if not history:
        return
    active = [each for each in history if each.is_active]
    problems = [illegal_path(station, history[-1]), wrong_routes(station, history[-1])]
    problems += [f"{len(active)} rollouts at once"] if len(active) > 1 else []
    resume(station)
    problems += ["resuming twice is not resuming once"] if station.routes.get(name) != after else []
    if active and active[0].has_begun and chance.random() < 0.3:
        _end(station, active[0], chance)
        problems.append(wrong_routes(station, station.rollouts.get(active[0].id)))
    if found.kills % 20 == 0:
        problems += [problem for finding in verify(station) for problem in finding.problems]
    found.wrong += [f"kill {found.kills}: {each}" for each in problems if each]


def _warm(station: Station) -> None:
    """Load what every child needs, so that its time goes into rollouts; no model is asked."""
    import lightgbm  # noqa: F401

    from esteira.serving.runtimes import lightgbm as _  # noqa: F401

    station.registry.alias(station.project.name, CHAMPION)


def kill(folder: Path, kills: int, seed: int) -> Found:
    """Kill as many processes at random moments, and look after each."""
    chance, found = random.Random(seed), Found()
    reader, told = _in_child(lambda telling: read_on(folder, telling))
    station = open_station(folder, actor="looking")
    _warm(station)
    for number in range(kills):
        rolling = seed * 1_000_003 + number
        child, ready = _in_child(lambda pipe, rolling=rolling: roll_on(folder, rolling, pipe))
        is_ready = os.read(ready, 1)
        os.close(ready)
        time.sleep(chance.uniform(0, _SPAN_S))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not is_ready or not os.WIFSIGNALED(status):
            found.wrong.append(f"kill {number + 1}: the child had ended by itself, code {status}")
        look(station, chance, found)
    os.kill(reader, signal.SIGTERM)
    with os.fdopen(told, "rb") as pipe:
        found.reads, gaps = json.loads(pipe.read())
    os.waitpid(reader, 0)
    found.wrong += gaps
    return found


if __name__ == "__main__":
    print(json.dumps(asdict(kill(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))))
