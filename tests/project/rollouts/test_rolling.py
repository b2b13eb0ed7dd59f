from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.project.worlds import active, champion, problems, shares

from esteira.base.errors import BadInput, NotFound
from esteira.governance.ledger import AuditLedger
from esteira.project.release import (
    CHALLENGER,
    CHAMPION,
    arm,
    deploy,
    set_routes,
)
from esteira.project.rollouts.rolling import (
    apply_share,
    promote,
    resume,
    roll_back,
    settle,
    start_rollout,
    stop,
    widen,
)
from esteira.project.verifying import verify
from esteira.registry.promotions import Promotion, PromotionIntents
from esteira.serving.deployments import open_deployments
from esteira.serving.rollout.state import Rollout, RolloutState, RolloutUnderWay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esteira.project.station import Station


def begun(station: Station) -> Rollout:
    start_rollout(station, 2, "by hand")
    return active(station)


def at_the_last_step(station: Station) -> Rollout:
    start_rollout(station, 2, "by hand")
    return widen(station, active(station), "no harm")


@pytest.mark.parametrize(
    "act",
    [
        lambda two: deploy(two, 2, "by hand"),
        lambda two: promote(two, at_the_last_step(two), "better"),
        lambda two: (begun(two), roll_back(two, "worse")),
        resume,
    ],
    ids=["deploy", "start, widen and promote", "stop", "resume"],
)
def test_every_change_of_what_serves_is_decided_on_and_made_alone(
    two: Station, monkeypatch: pytest.MonkeyPatch, act: Callable[[Station], object]
) -> None:
    held: list[bool] = []
    changing, set_in_force, record = two.routes.changing, two.routes.set, two.audit.record

    @contextmanager
    def marked() -> Iterator[None]:
        with changing():
            held.append(True)
            yield
            held.clear()

    def see(given_: Callable[..., Any], *args: Any, **named: Any) -> Any:
        assert held, "changed by what another may be changing"
        return given_(*args, **named)

    monkeypatch.setattr(two.routes, "changing", marked)
    monkeypatch.setattr(two.routes, "set", partial(see, set_in_force))
    monkeypatch.setattr(two.audit, "record", partial(see, record))
    if act is resume:
        PromotionIntents(two.settings.store("state")).write(
            Promotion("pump", 2, CHAMPION, two.clock.now(), "asked of the gateway", 1)
        )
    act(two)
    assert not held


def test_a_canary_begins_with_the_first_share_of_the_plan(two: Station) -> None:
    routes = start_rollout(two, 2, "by hand")
    assert [(a.name, a.version, a.share) for a in routes.arms] == [
        (CHAMPION, 1, 0.75),
        (CHALLENGER, 2, 0.25),
    ]
    assert active(two).state is RolloutState.RUNNING
    alias = two.registry.alias("pump", CHALLENGER)
    assert alias is not None
    assert alias.version == 2


def test_beginning_again_changes_nothing(two: Station) -> None:
    first = start_rollout(two, 2, "by hand")
    assert start_rollout(two, 2, "again") == first
    assert len(two.rollouts.history("pump")) == 1


def test_the_champion_is_no_challenger(two: Station) -> None:
    with pytest.raises(BadInput, match="is the champion already"):
        start_rollout(two, 1, "by hand")


def test_without_a_champion_the_message_says_deploy(two: Station) -> None:
    two.settings.home.joinpath("state.db").unlink()
    with pytest.raises(NotFound, match="esteira deploy 2"):
        start_rollout(two, 2, "by hand")


def test_a_step_taken_already_is_not_taken_twice(two: Station) -> None:
    rollout = at_the_last_step(two)
    assert widen(two, rollout, "again", to_step=1).step == 1
    assert shares(two) == {1: 0.0, 2: 1.0}


def test_a_step_that_was_taken_before_the_end_does_not_bring_the_split_back(two: Station) -> None:
    rollout = at_the_last_step(two)
    stop(two, rollout, "worse")
    routes = two.routes.get(two.project.name)
    assert widen(two, rollout, "again", to_step=1).state is RolloutState.ROLLED_BACK
    assert two.routes.get(two.project.name) == routes


def test_a_promotion_moves_alias_and_traffic(two: Station) -> None:
    finished = promote(two, at_the_last_step(two), "better")
    assert finished.state is RolloutState.PROMOTED
    assert (champion(two), shares(two)) == (2, {2: 1.0})
    assert promote(two, finished, "again").state is RolloutState.PROMOTED
    assert [p.version for p in two.promotions.history("pump") if p.alias == CHAMPION] == [1, 2]


def test_a_stopped_canary_leaves_the_champion_alone(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    assert stop(two, active(two), "worse").state is RolloutState.ROLLED_BACK
    assert (champion(two), shares(two)) == (1, {1: 1.0})


def test_what_a_person_deploys_after_the_end_stays(two: Station) -> None:
    finished = stop(two, at_the_last_step(two), "worse")
    deploy(two, 2, "I know better")
    stop(two, finished, "a late second look")
    settle(two, finished)
    assert (champion(two), shares(two)) == (2, {2: 1.0})


def test_a_late_second_promotion_does_not_undo_a_rollback(two: Station) -> None:
    finished = promote(two, at_the_last_step(two), "better")
    roll_back(two, "not at all")
    promote(two, finished, "a late second look")
    assert (champion(two), shares(two)) == (1, {1: 1.0})


def test_rolling_back_stops_the_canary_first(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    assert [a.version for a in roll_back(two, "stop").arms] == [1]
    assert two.rollouts.history("pump")[-1].state is RolloutState.ROLLED_BACK


def test_rolling_back_returns_to_the_champion_before(two: Station) -> None:
    deploy(two, 2, "a try")
    deploy(two, 2, "the same once more")
    assert roll_back(two, "bad").champion.version == 1
    assert champion(two) == 1


def through_a_gateway(station: Station, version: int) -> None:
    audit = partial(AuditLedger, station.settings.store("audit"), station.clock)
    state = station.settings.store("state")
    open_deployments(state, station.clock, lambda _: None, audit).deploy("pump", version, "ana", "by request")


def test_what_was_deployed_through_a_gateway_reaches_the_registry_with_the_next_round(two: Station) -> None:
    through_a_gateway(two, 2)
    assert (champion(two), shares(two)) == (1, {2: 1.0})
    resume(two)
    assert (champion(two), shares(two)) == (2, {2: 1.0})
    assert problems(verify(two)) == []
    before = two.routes.get("pump")
    resume(two)
    assert two.routes.get("pump") == before


def test_a_champion_that_came_through_a_gateway_can_be_rolled_back(two: Station) -> None:
    through_a_gateway(two, 2)
    assert roll_back(two, "bad").champion.version == 1
    assert (champion(two), shares(two)) == (1, {1: 1.0})


def test_the_first_champion_has_none_before_it(station: Station) -> None:
    with pytest.raises(NotFound, match="an earlier champion"):
        roll_back(station, "bad")


# what a kill leaves half done: each cut is followed by what `resume` must reach


def _cut_before_routes_of_a_deployment(two: Station) -> None:
    two.promotions.promote("pump", 2, CHAMPION, "a try")


def _cut_before_the_alias(two: Station) -> None:
    set_alias = two.registry.set_alias
    two.registry.set_alias = _raise
    with pytest.raises(KeyboardInterrupt):
        two.promotions.promote("pump", 2, CHAMPION, "a try")
    two.registry.set_alias = set_alias


def _cut_before_the_routes_in_a_gateway(two: Station) -> None:
    intents = PromotionIntents(two.settings.store("state"))
    intents.write(Promotion("pump", 2, CHAMPION, two.clock.now(), "by request", 1))


def _raise(*_: object) -> None:
    raise KeyboardInterrupt


def _cut_before_the_promotion_of_a_finished_rollout(two: Station) -> None:
    two.rollouts.finish(at_the_last_step(two), RolloutState.PROMOTED, "better")


def _cut_before_the_routes_of_a_finished_rollout(two: Station) -> None:
    _cut_before_the_promotion_of_a_finished_rollout(two)
    two.promotions.promote("pump", 2, CHAMPION, "better")


@pytest.mark.parametrize(
    "cut",
    [
        _cut_before_routes_of_a_deployment,
        _cut_before_the_alias,
        _cut_before_the_routes_in_a_gateway,
        _cut_before_the_promotion_of_a_finished_rollout,
        _cut_before_the_routes_of_a_finished_rollout,
    ],
)
def test_a_promotion_that_was_cut_off_is_completed(two: Station, cut: Callable[[Station], None]) -> None:
    cut(two)
    resume(two)
    assert (champion(two), shares(two)) == (2, {2: 1.0})
    assert problems(verify(two)) == []


def test_a_rollback_that_was_cut_off_is_completed(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    two.rollouts.finish(active(two), RolloutState.ROLLED_BACK, "worse")
    assert "no rollout is under way" in problems(verify(two))[0]
    resume(two)
    assert (champion(two), shares(two)) == (1, {1: 1.0})
    assert problems(verify(two)) == []


def test_a_step_that_was_cut_off_reaches_the_traffic(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    two.rollouts.advance(active(two), "no harm")
    assert shares(two) == {1: 0.75, 2: 0.25}
    resume(two)
    assert shares(two) == {1: 0.0, 2: 1.0}


def test_where_nothing_was_cut_off_resuming_writes_nothing(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    before = (len(two.audit.events(limit=1_000)), two.routes.get("pump"))
    resume(two)
    assert (len(two.audit.events(limit=1_000)), two.routes.get("pump")) == before


def test_a_mismatch_that_no_promotion_explains_is_left_to_a_person(two: Station) -> None:
    two.registry.set_alias("pump", CHAMPION, 2)  # somebody in MLflow's own page
    resume(two)
    assert shares(two) == {1: 1.0}
    assert "version 1 serves, the registry's champion is 2" in problems(verify(two))[0]


def test_a_pending_rollout_is_not_yet_in_the_routes(two: Station) -> None:
    rollout = two.rollouts.start("pump", 1, 2, two.project.rollout, "by hand")
    resume(two)
    assert apply_share(two, rollout, "pending").arms[1].share == 0.0


def test_one_rollout_at_a_time(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    set_routes(two, (arm(CHAMPION, two.version(2), 1.0),), "somebody else")
    with pytest.raises(RolloutUnderWay):
        start_rollout(two, 1, "the other way round")
