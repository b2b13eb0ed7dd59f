from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.web.rolled import active, rolled
from tests.web.stations import lived

from esteira.base.errors import NotFound
from esteira.project.rollouts.rolling import abort, pause
from esteira.serving.rollout.state import Rollout, RolloutState
from esteira.web import pressing
from esteira.web.pressing import (
    MOVED,
    NO_BUTTON,
    NO_REASON,
    NO_VERSION,
    NOT_SURE,
    NotPressed,
    Presser,
    buttons_of,
    seen_of,
)
from esteira.web.signing import Visitor

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.station import Station

EVA = Visitor("key:eva", "token", key="eva")


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Station:
    return rolled(lived(tmp_path_factory.getbasetemp()), tmp_path / "p", looks=2)


def form(act: str, rollout: Rollout, **other: str) -> dict[str, str]:
    return {"act": act, "reason": "by hand", "sure": "yes", "seen": seen_of(rollout)} | other


def shares(station: Station) -> list[tuple[int, float]]:
    routes = station.routes.get("tiny")
    assert routes is not None
    return [(arm.version, arm.share) for arm in routes.arms]


def test_a_rollout_is_paused_resumed_and_aborted_in_the_name_of_the_key(station: Station) -> None:
    presser, rollout = Presser(station), active(station)
    for act, state in (("pause", "paused"), ("resume", "running"), ("abort", "rolled back")):
        now = station.rollouts.get(rollout.id)
        assert act in [each.act for each in buttons_of(now)]
        presser.press(EVA, rollout.id, form(act, now, reason=f"to {act}\n it"))
        assert station.rollouts.get(rollout.id).state.value == state
    assert buttons_of(station.rollouts.get(rollout.id)) == ()
    assert shares(station) == [(1, 1.0)]
    kept = [each for each in station.audit.events() if each.actor == "key:eva"]
    told = [(each.action, each.reason) for each in kept if each.action.startswith("rollout.")]
    assert told == [
        ("rollout.pause", "to pause  it"),
        ("rollout.resume", "to resume  it"),
        ("rollout.finish", "to abort  it"),
    ]


def test_a_challenger_is_promoted_by_hand(station: Station) -> None:
    rollout = active(station)
    Presser(station).press(EVA, rollout.id, form("promote", rollout))
    assert station.rollouts.get(rollout.id).state is RolloutState.PROMOTED
    assert shares(station) == [(2, 1.0)]


def refused(station: Station, rollout_id: str, sent: dict[str, str]) -> NotPressed:
    before = station.rollouts.get(rollout_id)
    with pytest.raises(NotPressed) as raised:
        Presser(station).press(EVA, rollout_id, sent)
    assert station.rollouts.get(rollout_id) == before
    return raised.value


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"act": "explode"}, NO_BUTTON),
        ({"act": "start"}, NO_BUTTON),
        ({"reason": " \n"}, NO_REASON),
        ({"reason": "x" * 301}, NO_REASON),
        ({"sure": ""}, NOT_SURE),
    ],
)
def test_a_form_that_says_too_little_does_nothing(station: Station, other: dict[str, str], why: str) -> None:
    rollout = active(station)
    found = refused(station, rollout.id, form("abort", rollout) | other)
    assert (found.status, found.why) == (400, why)


def test_a_button_of_a_page_that_is_over_does_nothing(station: Station) -> None:
    rollout = active(station)
    pause(station, "somebody was first")
    found = refused(station, rollout.id, form("promote", rollout))
    assert (found.status, found.why) == (409, MOVED)
    assert "somebody was first" in found.detail


def test_a_button_of_an_earlier_rollout_does_not_reach_the_one_under_way(station: Station) -> None:
    earlier = station.rollouts.history("tiny")[0]
    found = refused(station, earlier.id, form("abort", active(station)))
    assert found.status == 409
    assert active(station).state is RolloutState.RUNNING


def test_a_move_that_the_rollout_does_not_allow_is_said(station: Station) -> None:
    rollout = active(station)
    abort(station, "over")
    ended = station.rollouts.get(rollout.id)
    found = refused(station, rollout.id, form("pause", ended))
    assert found.status == 409
    assert "does not exist" in found.detail


def test_a_rollout_that_is_not_there_has_no_buttons(station: Station) -> None:
    with pytest.raises(NotFound):
        Presser(station).press(EVA, "nix", form("abort", active(station)))


def test_of_two_who_press_different_buttons_at_once_one_wins_and_the_other_is_told(station: Station) -> None:
    presser, rollout, both = Presser(station), active(station), threading.Barrier(2)
    told: dict[str, int] = {}

    def press(act: str) -> None:
        both.wait()
        try:
            presser.press(Visitor(f"key:{act}"), rollout.id, form(act, rollout))
            told[act] = 200
        except NotPressed as lost:
            told[act] = lost.status

    threads = [threading.Thread(target=press, args=(act,)) for act in ("promote", "abort")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(told.values()) == [200, 409]
    winner = next(act for act, status in told.items() if status == 200)
    assert shares(station) == [(2 if winner == "promote" else 1, 1.0)]


def test_while_somebody_else_changes_what_serves_a_button_gives_up(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressing, "PATIENCE_S", 0.05)
    rollout = active(station)
    with station.routes.changing():
        found = refused(station, rollout.id, form("abort", rollout))
    assert found.status == 409
    assert "is under way" in found.detail


def test_a_rollout_is_begun_with_a_strategy(station: Station) -> None:
    presser = Presser(station)
    with pytest.raises(NotPressed) as raised:
        presser.start(EVA, form("start", active(station), version="2"))
    assert raised.value.status == 409
    abort(station, "over")
    begun = presser.start(EVA, {"version": "2", "strategy": "shadow", "reason": "look first", "sure": "yes"})
    assert (begun.plan.strategy, begun.challenger_version, begun.reason) == ("shadow", 2, "look first")
    assert active(station) == begun


@pytest.mark.parametrize(
    ("version", "strategy", "why"),
    [
        ("", "canary", NO_VERSION),
        ("²", "canary", NO_VERSION),
        ("99", "canary", "99"),
        ("1", "", "champion already"),
        ("2", "nix", "nix"),
    ],
)
def test_what_cannot_begin_is_said(station: Station, version: str, strategy: str, why: str) -> None:
    abort(station, "over")
    with pytest.raises(NotPressed, match=why) as raised:
        Presser(station).start(
            EVA, {"version": version, "strategy": strategy, "reason": "why", "sure": "yes"}
        )
    assert raised.value.status == 400
    assert station.rollouts.active("tiny") is None


def test_where_it_stands_decides_which_buttons_there_are(station: Station) -> None:
    acts = {
        state: [each.act for each in buttons_of(replace(active(station), state=state))]
        for state in RolloutState
    }
    assert acts == {
        RolloutState.PENDING: ["abort"],
        RolloutState.RUNNING: ["pause", "promote", "abort"],
        RolloutState.PAUSED: ["resume", "promote", "abort"],
        RolloutState.PROMOTED: [],
        RolloutState.ROLLED_BACK: [],
    }
