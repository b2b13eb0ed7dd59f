"""What the ring does with each strategy, look by look."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from tests.project.worlds import HOUR, LIVE, answer

from esteira.base.clock import to_micros
from esteira.base.records import Label
from esteira.monitoring.prediction_log import encode_label, labels_table
from esteira.project.release import champion_of
from esteira.project.ring import Ring
from esteira.project.rollouts.rolling import pause, start_rollout
from esteira.serving.rollout.state import RolloutState
from esteira.serving.rollout.strategies import ABTest, Bandit, BlueGreen, Canary, ChampionChallenger, Shadow

if TYPE_CHECKING:
    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout


def champion(station: Station) -> int:
    version = champion_of(station)
    assert version is not None
    return version.version


def look(two: Station, days: int) -> None:
    """Days that pass, with a look at the end of each."""
    ring = Ring(two)
    for _ in range(days):
        answer(two, 1)
        ring.tick(two.clock.now())


def newest(two: Station) -> Rollout:
    return two.rollouts.history("pump")[-1]


def quiet(two: Station) -> None:
    """Without monitors: a rollout is all that is watched."""
    two.__dict__["project"] = replace(two.project, monitors=())


def test_blue_green_switches_once_it_is_validated_and_promotes_what_stays_healthy(two: Station) -> None:
    quiet(two)
    answer(two, 1)
    start_rollout(two, 2, "by hand", BlueGreen(minimum=20, max_latency_ratio=100))
    Ring(two).tick(two.clock.now())
    assert newest(two).share == 1.0  # on the same tick: nothing is asked of it before
    look(two, 1)
    assert (newest(two).state, newest(two).reason) == (RolloutState.PROMOTED, "no guard fires")
    assert champion(two) == 2


def test_a_shadow_waits_for_a_person_and_says_that_it_is_ready(two: Station) -> None:
    quiet(two)
    start_rollout(two, 2, "by hand", Shadow(minimum=20, bake=HOUR))
    look(two, 1)
    assert newest(two).state is RolloutState.RUNNING
    assert newest(two).evidence["advice"] == "promote"
    assert "ready to promote by hand" in str(newest(two).evidence["reason"])


def test_a_challenger_in_the_shadow_takes_over_when_labels_say_so(two: Station) -> None:
    quiet(two)
    plan = ChampionChallenger(goal="harmless", margin=9, minimum=20, bake=HOUR, block=HOUR)
    start_rollout(two, 2, "by hand", plan)
    look(two, 2)
    assert newest(two).state is RolloutState.PROMOTED
    assert champion(two) == 2


def test_a_paused_rollout_holds_and_its_evidence_grows(two: Station) -> None:
    quiet(two)
    start_rollout(two, 2, "by hand", Canary((0.25, 1.0), minimum=20, margin=9, max_latency_ratio=100))
    pause(two, "on call is asleep")
    look(two, 3)
    assert (newest(two).state, newest(two).share) == (RolloutState.PAUSED, 0.25)
    assert newest(two).evidence["advice"] == "widen"


def test_a_bandit_gives_its_traffic_to_who_earns_more(two: Station) -> None:
    quiet(two)
    start_rollout(two, 2, "by hand", Bandit(minimum=10_000))
    answer(two, 1)
    rows = two.tables.read("predictions")
    earned = [
        Label(row["id"], float(row["arm"] == "challenger"), to_micros(LIVE), to_micros(LIVE), 1)
        for row in rows.to_pylist()
    ]
    two.tables.append("labels", labels_table([encode_label(each) for each in earned]))
    Ring(two).tick(two.clock.now())
    assert newest(two).share == 0.95
    assert "better one with a chance of 100%" in newest(two).reason


def test_answers_that_fail_roll_a_challenger_back_within_a_tick(two: Station) -> None:
    quiet(two)
    start_rollout(two, 2, "by hand", Canary((0.25, 1.0), minimum=20))
    answer(two, 1)
    rows = two.tables.read("predictions").slice(0, 40)
    failed = pa.table(
        {
            "id": [f"f{n}" for n in range(40)],
            "at": rows["at"],
            "model": ["pump"] * 40,
            "version": pa.array([2] * 40, pa.int32()),
            "arm": ["challenger"] * 40,
        }
    )
    two.tables.append("failures", failed)
    Ring(two).tick(two.clock.now())
    assert newest(two).state is RolloutState.ROLLED_BACK
    assert "requests failed, more than 1.0% allowed" in newest(two).reason
    assert champion(two) == 1


def test_a_split_that_is_not_the_intended_one_stops_the_experiment(two: Station) -> None:
    quiet(two)
    start_rollout(two, 2, "by hand", ABTest(share=0.5))
    answer(two, 4)
    rows = two.tables.read("predictions")
    mine = rows.filter(pc.equal(rows["arm"], "challenger"))
    again = pa.array([f"again-{name}" for name in mine["id"].to_pylist()])
    doubled = mine.set_column(0, "id", again)
    doubled = doubled.set_column(mine.schema.get_field_index("key"), "key", doubled["id"])
    two.tables.append("predictions", doubled)
    Ring(two).tick(two.clock.now())
    assert "sample-ratio mismatch" in newest(two).reason
    assert newest(two).state is RolloutState.ROLLED_BACK
