from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import DAY, HOUR, LIVE, answer, flip, problems, rewrite, told

from esteira.base.errors import EsteiraError, StorageUnwritable
from esteira.base.records import AlertState
from esteira.project.release import CHAMPION, champion_of, deploy
from esteira.project.ring import Ring
from esteira.project.rollouts.rolling import roll_back, start_rollout
from esteira.project.station import Station, open_station
from esteira.project.story import Story
from esteira.project.verifying import verify
from esteira.retraining.attempts import AttemptState, Outcome
from esteira.retraining.policy import RetrainPolicy
from esteira.serving.rollout.state import RolloutState

if TYPE_CHECKING:
    from pathlib import Path


def champion(station: Station) -> int:
    version = champion_of(station)
    assert version is not None
    return version.version


def firing(station: Station) -> None:
    """An alert that fires, as two bad windows in a row make it."""
    for hour in (0, 1):
        now = LIVE + hour * HOUR
        station.alerts.observe("drift", "load", value=1, enter=0, exit=0, now=now, message="load moved")
    assert station.alerts.alerts()[0].state is AlertState.FIRING


def decide(station: Station, **policy: object) -> None:
    """Another policy than the project file's."""
    retrain = RetrainPolicy(**{"minimum_labels": 0, **policy})
    station.__dict__["project"] = replace(station.project, retrain=retrain, monitors=())


# end to end, through a gateway in a process of its own


@pytest.mark.slow
def test_the_ring_alarms_retrains_and_promotes_when_the_world_changes(played: Station) -> None:
    kinds = told(played)
    assert kinds[:3] == ["trained", "gates passed", "deployed"]
    turn = [kind for kind in kinds[3:] if kind != "cleared"]
    assert turn[:2] == ["alarm", "alarm"]  # the inputs moved, and the answers became worse
    assert turn[2:5] == ["retraining", "trained", "gates refused"]  # of the new world too little was known
    assert turn[5:] == ["retraining", "trained", "gates passed", "canary", "widened", "promoted"]
    assert champion(played) == 3
    alias = played.registry.alias("pump", CHAMPION)
    assert alias is not None
    assert alias.version == 3


@pytest.mark.slow
def test_the_gateway_served_the_promoted_version_without_a_restart(played: Station) -> None:
    rows = played.tables.read("predictions")
    at, version = rows["at"].to_pylist(), rows["version"].to_pylist()
    assert len(version) == 15 * 96
    promoted = next(p for p in played.promotions.history("pump") if p.version == 3 and p.alias == CHAMPION)
    assert {v for t, v in zip(at, version, strict=True) if t < promoted.at - 4 * DAY} == {1}
    assert {v for t, v in zip(at, version, strict=True) if t >= promoted.at} == {3}


@pytest.mark.slow
def test_every_change_of_traffic_was_audited_before_it_took_effect(played: Station) -> None:
    events = played.audit.events(limit=10_000)
    recorded = [event.facts["shares"] for event in events if event.action == "routes.set"]
    history = [played.routes.get("pump", revision) for revision in range(1, len(recorded) + 1)]
    spelt = [{f"{a.name}:{a.version}": a.share for a in each.arms} for each in history if each is not None]
    assert spelt == recorded
    assert played.routes.get("pump", len(recorded) + 1) is None
    acts = [
        event.action for event in events if event.action in {"rollout.finish", "model.promote", "routes.set"}
    ]
    assert acts[-3:] == ["rollout.finish", "model.promote", "routes.set"]


@pytest.mark.slow
def test_the_attempts_say_what_came_of_them(played: Station) -> None:
    attempts = Ring(played)._loop.journal.history("pump")
    assert [each.outcome for each in attempts] == [Outcome.REFUSED, Outcome.PROMOTED]
    assert "firmware" in attempts[0].cause
    assert "below 0.6" in attempts[0].reason


@pytest.mark.slow
def test_after_the_ring_has_turned_everything_verifies(played: Station) -> None:
    assert problems(verify(played)) == []


@pytest.mark.slow
def test_where_nothing_changes_nothing_is_promoted(steady: Station) -> None:
    assert told(steady) == ["trained", "gates passed", "deployed"]
    assert [each.version for each in steady.registry.versions("pump")] == [1]
    assert [p.version for p in steady.promotions.history("pump")] == [1]
    assert steady.tables.version("predictions").rows == 5 * 96


# the first model


def test_gates_that_refuse_the_first_model_leave_nothing_in_production(fresh: Path) -> None:
    rewrite(fresh, ("at_least=0.6", "at_least=0.99"))
    station = open_station(fresh)
    ring = Ring(station)
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    assert told(station) == ["trained", "gates refused"]
    assert champion_of(station) is None
    with pytest.raises(EsteiraError, match="the gates refused the first one"):
        ring.champion_signature()
    decide(station, on="schedule")
    ring.tick(LIVE)  # nothing to watch, nothing to replace
    assert told(station) == ["trained", "gates refused"]


def test_requests_are_asked_for_what_the_champion_needs(station: Station) -> None:
    assert Ring(station).champion_signature().keys == ("site", "pump")


# attempts


def test_an_alert_that_fires_trains_a_candidate_and_begins_its_canary(two: Station) -> None:
    decide(two)
    firing(two)
    answer(two, 1)
    ring = Ring(two)
    ring.ingest(two.clock.now())
    ring.tick(two.clock.now())
    assert told(two)[3:] == ["retraining", "trained", "gates passed", "canary"]
    rollout = two.rollouts.active("pump")
    assert rollout is not None
    assert rollout.challenger_version == 3


def test_a_candidate_with_the_champions_own_bytes_is_refused(station: Station) -> None:
    decide(station)
    # A project that does not look at `until`, and no new rows: training gives what there is already.
    champion_run = station.journal.run(station.version(1).run_id)
    station.clock.set = lambda *_: None
    firing(station)
    ring = Ring(station)
    attempt_at = champion_run.parameters["until"]
    assert attempt_at == "2020-01-20T23:00:00Z"
    ring.tick(LIVE - HOUR)
    assert told(station)[-3:] == ["retraining", "trained", "gates refused"]
    assert "own bytes" in Story(station.state).events()[-1].tell()
    ring.tick(LIVE)
    assert champion(station) == 1


def test_a_full_disk_is_no_verdict_on_the_candidate(two: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    decide(two)
    firing(two)
    full = StorageUnwritable("artifacts", "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr("esteira.project.ring.train", _raising(full))
        with pytest.raises(StorageUnwritable):
            Ring(two).tick(LIVE)
    assert _attempt(two) is AttemptState.TRAINING
    Ring(two).tick(LIVE + HOUR)
    assert _attempt(two) is AttemptState.ROLLING


def test_an_attempt_that_cannot_be_trained_ends_and_is_told(two: Station) -> None:
    decide(two)
    firing(two)
    flip(next((two.settings.home / "tables" / "events").glob("*.parquet")))
    two.journal._database.path.unlink()  # with what would spare reading the table
    open_again = open_station(two.settings.root)
    decide(open_again)
    Ring(open_again).tick(LIVE)
    assert told(two)[-2:] == ["retraining", "failed"]
    assert "events" in Story(two.state).events()[-1].tell()
    assert champion(two) == 1


def _raising(error: Exception) -> object:
    def act(*_: object, **__: object) -> None:
        raise error

    return act


def _attempt(station: Station) -> AttemptState | None:
    attempt = Ring(station)._loop.journal.open_attempt("pump")
    return None if attempt is None else attempt.state


# a canary that a person began


def test_a_canary_by_hand_is_widened_and_promoted_like_any_other(two: Station) -> None:
    two.__dict__["project"] = replace(
        two.project, monitors=(), rollout=replace(two.project.rollout, margin=9)
    )
    start_rollout(two, 2, "by hand")
    ring = Ring(two)
    for _ in range(3):
        answer(two, 1)
        ring.tick(two.clock.now())
    assert told(two)[3:] == ["widened"]
    assert "version 2 now takes 100%" in Story(two.state).events()[-1].tell()
    rollout = two.rollouts.active("pump")
    assert rollout is not None
    assert rollout.evidence["observations"] > 0


def test_a_canary_by_hand_that_shows_nothing_in_time_is_rolled_back_and_told(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    two.clock.set(LIVE + 13 * DAY)
    Ring(two).tick(LIVE + 13 * DAY)
    assert told(two)[3:] == ["rolled back"]
    assert two.rollouts.history("pump")[-1].state is RolloutState.ROLLED_BACK
    assert champion(two) == 1


def test_while_a_person_rolls_out_the_loop_waits(two: Station) -> None:
    decide(two)
    firing(two)
    start_rollout(two, 2, "by hand")
    Ring(two).tick(LIVE)
    assert _attempt(two) is None
    roll_back(two, "enough")
    Ring(two).tick(LIVE)
    assert _attempt(two) is AttemptState.ROLLING


def test_a_canary_by_hand_does_not_stop_an_attempt_under_way_for_good(two: Station) -> None:
    decide(two)
    firing(two)
    Ring(two)._loop.journal.begin("pump", "an alert", LIVE)  # killed before it could train
    start_rollout(two, 2, "by hand")
    Ring(two).tick(LIVE)
    assert _attempt(two) is AttemptState.TRAINING
    roll_back(two, "enough")
    Ring(two).tick(LIVE + HOUR)
    assert _attempt(two) is AttemptState.ROLLING


def test_a_canary_whose_beginner_was_killed_is_begun(two: Station) -> None:
    two.rollouts.start("pump", 1, 2, two.project.rollout, "by hand")
    Ring(two).tick(LIVE)
    routes = two.routes.get("pump")
    assert routes is not None
    assert [each.share for each in routes.arms] == [0.75, 0.25]


def test_a_canary_of_the_ring_that_a_person_stops_ends_the_attempt(two: Station) -> None:
    decide(two)
    firing(two)
    ring = Ring(two)
    ring.tick(LIVE)
    roll_back(two, "I do not like it")
    deploy(two, 2, "this one")
    ring.tick(LIVE + HOUR)
    assert told(two)[-1] == "rolled back"
    assert _attempt(two) is None
    assert champion(two) == 2  # what the person deployed stays


def test_a_tick_completes_what_a_kill_cut_off(two: Station) -> None:
    two.promotions.promote("pump", 2, CHAMPION, "killed before the routes")
    assert problems(verify(two)) != []
    Ring(two).tick(LIVE)
    assert problems(verify(two)) == []
    assert champion(two) == 2
