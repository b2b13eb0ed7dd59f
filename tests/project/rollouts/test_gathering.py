from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.project.worlds import DAY, HOUR, LIVE, Days, active, answer, rewrite

from esteira.base.clock import to_micros
from esteira.base.records import Label
from esteira.monitoring.prediction_log import encode_label, labels_table
from esteira.project.release import judge_and_register, train
from esteira.project.ring import Ring
from esteira.project.rollouts.gathering import EvidenceGatherer
from esteira.project.rollouts.rolling import start_rollout, widen
from esteira.project.station import open_station
from esteira.project.watch import predictions
from esteira.serving.rollout.strategies import (
    ABTest,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Shadow,
)

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.station import Station
    from esteira.serving.rollout.evidence import Evidence
    from esteira.serving.rollout.plan import RolloutPlan


def test_evidence_pairs_both_models_on_every_labelled_row(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    begun = two.clock.now()
    answer(two, 2)
    gathering = EvidenceGatherer(two, active(two))
    evidence = gathering.gather(active(two), two.clock.now())
    labels = two.tables.read("labels")
    assert evidence.labelled == labels.num_rows
    assert evidence.labelled_in_step == labels.num_rows
    assert (evidence.differences != 0).any()
    asked = two.tables.read("predictions")["arm"].to_pylist()
    assert evidence.challenger.requests == asked.count("challenger") > 0
    assert evidence.champion.requests == asked.count("champion") > 0
    split = evidence.split
    assert split is not None
    assert (split.champion, split.challenger, split.share) == (
        asked.count("champion"),
        asked.count("challenger"),
        0.25,
    )
    assert evidence.now - begun == 2 * DAY


def test_evidence_grows_as_labels_come_and_scores_no_row_twice(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    gathering = EvidenceGatherer(two, active(two))
    answer(two, 1)
    first = gathering.gather(active(two), two.clock.now())
    answer(two, 1)
    later = gathering.gather(active(two), two.clock.now())
    assert later.labelled > first.labelled
    assert later.differences[: first.labelled].tolist() == first.differences.tolist()
    fresh = EvidenceGatherer(two, active(two)).gather(active(two), two.clock.now())
    assert sorted(fresh.differences.tolist()) == sorted(later.differences.tolist())


@pytest.mark.slow
def test_the_health_of_an_arm_is_of_its_own_answers(played: Station) -> None:
    rollout = played.rollouts.history("pump")[-1]
    found = EvidenceGatherer(played, rollout).gather(rollout, played.clock.now())
    rows = played.tables.read("predictions", where=[("at", ">=", rollout.started_at)])
    mine = rows.filter(
        pc.and_(pc.equal(rows["version"], rollout.challenger_version), pc.equal(rows["arm"], "challenger"))
    )
    assert found.challenger.requests == mine.num_rows
    assert (found.challenger.errors, found.challenger.nonfinite, found.broken) == (0, 0, ())
    assert found.champion.requests > 0


@pytest.mark.slow
def test_a_challenger_with_a_new_column_is_judged_by_its_own_answers_alone(fresh: Path) -> None:
    rewrite(fresh, ("*(column for view in VIEWS for column in view.columns))", '"climate__heat")'))
    ring = Ring(open_station(fresh))
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    rewrite(fresh, ('"firmware", "climate__heat")', '"firmware", "climate__heat", "pump_day__runs")'))
    station = open_station(fresh)
    judge_and_register(station, train(station))
    start_rollout(station, 2, "a new column")
    with Days(station, LIVE + 2 * DAY) as days:
        days.pass_by(2)
        days.all_drained()
    rollout = active(station)
    evidence = EvidenceGatherer(station, rollout).gather(rollout, station.clock.now())
    rows = predictions(station, rollout.started_at, station.clock.now())
    own = pc.and_(pc.equal(rows["version"], 2), pc.is_valid(rows["label"]))
    assert len(evidence.at) == pc.sum(own).as_py() > 0


# other strategies


def begun(station: Station, plan: RolloutPlan, days: int = 2) -> Evidence:
    start_rollout(station, 2, "by hand", plan)
    answer(station, days)
    rollout = active(station)
    return EvidenceGatherer(station, rollout).gather(rollout, station.clock.now())


def test_a_shadow_is_compared_on_the_very_requests_that_the_champion_answered(two: Station) -> None:
    seen = begun(two, ChampionChallenger(min_agreement=0.5))
    asked = two.tables.read("predictions").num_rows
    assert (seen.champion.requests, seen.challenger.requests, seen.asked_in_step) == (asked, asked, asked)
    assert seen.split is None
    assert seen.agreement is not None
    assert seen.agreement.compared == min(asked, 2_000)
    assert seen.labelled == two.tables.read("labels").num_rows
    assert (seen.differences != 0).any()
    assert seen.broken == ()


def test_a_shadow_that_nobody_has_asked_yet_has_shown_nothing(two: Station) -> None:
    start_rollout(two, 2, "by hand", Shadow())
    rollout = active(two)
    seen = EvidenceGatherer(two, rollout).gather(rollout, two.clock.now())
    assert (seen.champion.requests, seen.challenger.requests, seen.labelled) == (0, 0, 0)


def test_an_experiment_weighs_outcomes_by_the_chance_of_being_asked(two: Station) -> None:
    seen = begun(two, ABTest(share=0.25))
    known = two.tables.read("labels")
    labels = dict(zip(known["prediction_id"].to_pylist(), known["value"].to_pylist(), strict=True))
    rows = two.tables.read("predictions").to_pylist()
    expected = sorted(
        -labels[row["id"]] / 0.25 if row["arm"] == "challenger" else labels[row["id"]] / 0.75
        for row in rows
        if row["id"] in labels
    )
    assert sorted(seen.differences.tolist()) == pytest.approx(expected)


def test_answers_that_are_not_what_the_version_says_offline_are_found(two: Station) -> None:
    seen = begun(two, Canary((0.5, 1.0)))
    assert seen.broken == ()
    rows = two.tables.read("predictions")
    mine = rows.filter(pc.equal(rows["arm"], "challenger")).slice(0, 1)
    at, other = mine.schema.get_field_index("score"), pc.add(mine["score"], 0.25)
    forged = mine.set_column(at, "score", other).set_column(0, "id", pa.array(["forged"]))
    two.tables.append("predictions", forged)
    rollout = active(two)
    (found,) = EvidenceGatherer(two, rollout).gather(rollout, two.clock.now()).broken
    assert "not what it says of the same rows offline: 1 of" in found


def test_requests_that_failed_are_counted_with_the_version_that_was_asked(two: Station) -> None:
    start_rollout(two, 2, "by hand", Canary((0.25, 1.0)))
    answered = answer(two, 1)
    rows = two.tables.read("predictions").slice(0, 3)
    failed = pa.table(
        {
            "id": ["x", "y", "z"],
            "at": rows["at"],
            "model": ["pump"] * 3,
            "version": pa.array([2, 2, 1], pa.int32()),
            "arm": ["challenger", "pinned", "champion"],
            "revision": pa.array([2] * 3, pa.int64()),
            "key": ["x", "y", "z"],
            "status": pa.array([500] * 3, pa.int32()),
            "reason": ["it broke"] * 3,
        }
    )
    two.tables.append("failures", failed)
    rollout = active(two)
    seen = EvidenceGatherer(two, rollout).gather(rollout, two.clock.now())
    assert (seen.challenger.errors, seen.champion.errors) == (1, 1)
    assert seen.challenger.requests + seen.champion.requests == answered + 2


def test_outcomes_that_a_bandit_cannot_use_are_named(two: Station) -> None:
    start_rollout(two, 2, "by hand", Bandit())
    answer(two, 1)
    name = two.tables.read("predictions")["id"][0].as_py()
    two.tables.append("labels", labels_table([encode_label(Label(name, 7.0, 1, to_micros(LIVE), 1))]))
    rollout = active(two)
    (found,) = EvidenceGatherer(two, rollout).gather(rollout, two.clock.now()).broken
    assert "between 0 and 1" in found


def test_once_the_champion_gets_no_traffic_its_answers_of_the_day_before_stand_for_it(two: Station) -> None:
    answer(two, 2)
    before = two.clock.now() - DAY
    start_rollout(two, 2, "by hand", BlueGreen())
    widen(two, active(two), "validated")
    answer(two, 1)
    rollout = active(two)
    seen = EvidenceGatherer(two, rollout).gather(rollout, two.clock.now())
    usual = two.tables.read("predictions", where=[("at", ">=", before), ("arm", "==", "champion")]).num_rows
    assert seen.champion.requests == usual > 0
    assert seen.challenger.requests == seen.asked_in_step > 0
