from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from benchmarks.parts import kills, splits, thompson
from benchmarks.parts.rollouts import START, Ended, Following, Harm, Traffic, World, follow, silent
from benchmarks.report import Report

from benchmarks import rollout
from esteira.base.clock import SimulatedClock
from esteira.governance.ledger import AuditLedger
from esteira.serving.rollout.state import RolloutState
from esteira.serving.rollout.store import RolloutStore
from esteira.serving.rollout.strategies import ABTest, Bandit, BlueGreen, Canary

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Traffic(requests=2_000)


def test_a_simulated_rollout_is_the_same_for_the_same_seed() -> None:
    one, again, other = (follow(seed, Canary(), SMALL, Harm(error_rate=0.2)) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert (one.kind, one.is_blamed, "requests failed" in one.reason) == ("roll back", True, True)


def test_equal_versions_are_alike_and_a_worse_one_is_worse_by_what_was_said() -> None:
    means = [World(seed, SMALL, Harm()).losses.mean() for seed in range(60)]
    assert np.mean(means) == pytest.approx(0, abs=4 * np.std(means) / 60**0.5)
    worse = World(1, SMALL, Harm(worse=0.3)).losses - World(1, SMALL, Harm()).losses
    assert worse == pytest.approx(0.3)


def test_the_evidence_of_a_moment_knows_nothing_of_later() -> None:
    world = World(3, SMALL, Harm())
    way, row = Following(world, Canary()), world.first + 700
    way.ask(world.first, row)
    now = int(world.at[row - 1]) + 1
    seen = way.evidence(now, row)
    known = int(np.sum(world.label_at[world.first : row] <= now))
    assert (seen.labelled, seen.champion.requests + seen.challenger.requests) == (known, 700)
    assert known < 700 * (1 - SMALL.unlabelled)
    assert seen.split is not None
    assert seen.split.champion + seen.split.challenger == 700


@pytest.mark.parametrize("plan", [ABTest(), BlueGreen(), Canary(goal="harmless")])
def test_every_rollout_comes_to_an_end(plan: Canary) -> None:
    assert follow(5, plan, SMALL).kind in ("promote", "roll back")


def test_only_harm_is_a_blame() -> None:
    over = Ended("roll back", "no evidence of being better within 28 days", 10, 28.0, 0)
    assert not over.is_blamed
    assert Ended("roll back", "the challenger is worse", 10, 2.0, 0).is_blamed


def test_silence_is_looked_at_every_hour() -> None:
    found = silent(Canary(max_duration=timedelta(days=4)))
    assert (len(found), {*found}) == (96, {"hold"})


def test_the_reference_learns_which_version_is_better() -> None:
    given = [thompson.replay(seed, 1_500, (0.1, 0.6)) for seed in range(4)]
    for asked in (*thompson.reference(given, 0), thompson.ours(given[0], Bandit(), 100)):
        assert asked[-500:].mean() > 0.85
    assert given[0].regret(np.ones(1_500, bool)) == 0
    assert given[0].regret(np.zeros(1_500, bool)) == pytest.approx(750)


def test_a_reference_with_a_floor_gives_each_its_floor() -> None:
    given = [thompson.replay(0, 4_000, (0.1, 0.9))]
    (asked,) = thompson.reference(given, 0, floor=0.2)
    assert asked[2_000:].mean() == pytest.approx(0.8, abs=0.03)


def test_ids_are_dealt_alike_elsewhere_and_in_proportion() -> None:
    versions = splits.dealt(0.25, 20_000)
    assert splits.digest(versions) == splits.elsewhere(0.25, 20_000)
    assert splits.chi_squared(0.25, versions) < 10.83
    assert splits.chi_squared(0.25, "1" * 20_000) > 1_000
    assert splits.cost_ns(0.25, 100) > 0


def test_findings_of_the_kills_are_counted_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report("rollout", results=tmp_path)
    found = {
        "kills": 3,
        "left": {"rolled back": 2},
        "completed": 1,
        "reads": 9,
        "wrong": ["kill 2: no routes"],
    }
    rollout.killed(report, found)
    assert "kill 2: no routes" in capsys.readouterr().out
    short = {figure.name for figure in report.figures if figure.is_short}
    assert short == {"kills", "kills_wrong"}


def test_a_path_that_states_do_not_allow_is_told(tmp_path: Path) -> None:
    plan, clock = Canary(), SimulatedClock(start=START)
    assert not kills._may_follow((RolloutState.PROMOTED, 0), (RolloutState.RUNNING, 0), plan)
    assert not kills._may_follow((RolloutState.PAUSED, 0), (RolloutState.RUNNING, 1), plan)
    assert not kills._may_follow((RolloutState.RUNNING, 0), (RolloutState.RUNNING, 2), plan)
    assert kills._may_follow((RolloutState.RUNNING, 0), (RolloutState.RUNNING, 2), Bandit())
    store = RolloutStore(f"sqlite:{tmp_path}/s.db", AuditLedger(f"sqlite:{tmp_path}/a.db", clock, "t"), clock)
    begun = store.advance(store.start("late", 1, 2, plan), "begin")

    class Station:
        rollouts = store

    assert kills.illegal_path(Station(), begun) == ""
    with store._database.transaction() as writer:  # as nobody may
        writer.execute("UPDATE rollouts SET step = 2")
    assert "begins or ends wrongly" in kills.illegal_path(Station(), store.get(begun.id))
