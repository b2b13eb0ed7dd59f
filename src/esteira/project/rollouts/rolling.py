"""The rollout of a challenger: start it, move it, end it, and bring the routes to where it stands."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from esteira.base.errors import NotFound
from esteira.project.release import CHALLENGER, CHAMPION, arm, champion_of, deploy, set_routes
from esteira.project.rollouts.admission import admit
from esteira.project.rollouts.reporting import has_report, keep_report
from esteira.serving.rollout.state import RolloutMoved, RolloutState
from esteira.serving.routes import Shadow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.project.station import Station
    from esteira.serving.rollout.plan import RolloutPlan
    from esteira.serving.rollout.state import Rollout
    from esteira.serving.routes import Routes


def start_rollout(station: Station, number: int, reason: str, plan: RolloutPlan | None = None) -> Routes:
    """Begin the rollout of a version at its first step, by the project's plan if no other is given.

    Called again for the one under way it changes nothing. Raises: RolloutUnderWay, and as `admit`.
    """
    champion, challenger = admit(station, number)
    with station.routes.changing():
        if champion_of(station) != champion:  # somebody deployed another while this one was checked
            champion, challenger = admit(station, number)
        name = challenger.name
        under_way = station.rollouts.active(name)
        plan = plan or (under_way.plan if under_way is not None else station.project.rollout)
        rollout = station.rollouts.start(name, champion.version, number, plan, reason)
        if rollout.state is RolloutState.PENDING:
            station.promotions.promote(name, number, CHALLENGER, reason)
            rollout = station.rollouts.get(rollout.id)  # a ring that runs may have completed it meanwhile
        if rollout.state is RolloutState.PENDING:
            rollout = station.rollouts.advance(rollout, reason)
        return apply_share(station, rollout, reason)


def apply_share(station: Station, rollout: Rollout, reason: str) -> Routes:
    """Bring the routes to where the rollout stands; safe to repeat after a crash."""
    champion = station.version(rollout.champion_version)
    challenger = station.version(rollout.challenger_version)
    if rollout.state is RolloutState.PROMOTED:
        return set_routes(station, (arm(CHAMPION, challenger, 1.0),), reason)
    if not rollout.is_active:
        return set_routes(station, (arm(CHAMPION, champion, 1.0),), reason)
    plan, share = rollout.plan, rollout.share
    if plan.mirrored:
        mirrored = Shadow(CHALLENGER, challenger.version, challenger.digest, plan.mirrored)
        alone = (arm(CHAMPION, champion, 1.0),)
        return set_routes(
            station, alone, reason, salt=rollout.id, shadows=(mirrored,), segments=plan.segments
        )
    arms = (arm(CHAMPION, champion, 1.0 - share), arm(CHALLENGER, challenger, share))
    return set_routes(station, arms, reason, salt=rollout.id, segments=plan.segments)


def widen(station: Station, rollout: Rollout, reason: str, to_step: int | None = None) -> Rollout:
    """Take the step after that of `rollout`, unless it was taken already, and bring the routes along."""
    with station.routes.changing():
        now = station.rollouts.get(rollout.id)  # somebody may have moved or stopped it
        if now.is_active:
            is_due = now.step == rollout.step and (to_step is None or now.step < to_step)
            if is_due and now.state is not RolloutState.PAUSED:
                now = station.rollouts.advance(rollout, reason, rollout.evidence)
            apply_share(station, now, reason)
    return now


def shift(station: Station, rollout: Rollout, step: int, reason: str) -> Rollout:
    """Go to any step of a plan that moves freely, and bring the routes along."""
    with station.routes.changing():
        now = station.rollouts.get(rollout.id)
        if now.state is RolloutState.RUNNING and now.step != step:
            now = station.rollouts.shift(now, step, reason, rollout.evidence)
            apply_share(station, now, reason)
    return now


def pause(station: Station, reason: str, seen: Rollout | None = None) -> Rollout:
    """Hold the rollout under way at its step; harm ends it all the same.

    `seen` is the rollout as whoever decided saw it. Raises: NotFound, IllegalMove, RolloutMoved.
    """
    with _under_way(station, seen) as rollout:
        return station.rollouts.pause(rollout, reason)


def go_on(station: Station, reason: str, seen: Rollout | None = None) -> Rollout:
    """Let a rollout that was paused go on. Raises: as `pause`."""
    with _under_way(station, seen) as rollout:
        return station.rollouts.resume(rollout, reason)


def promote_by_hand(station: Station, reason: str, seen: Rollout | None = None) -> Rollout:
    """Promote the challenger of the rollout under way, whatever its evidence. Raises: as `pause`."""
    with _under_way(station, seen) as rollout:
        finished = station.rollouts.finish(
            rollout, RolloutState.PROMOTED, reason, rollout.evidence, is_by_hand=True
        )
        settle(station, finished)
    keep_report(station, finished.id)
    return finished


def abort(station: Station, reason: str, seen: Rollout | None = None) -> Rollout:
    """End the rollout under way; the champion takes all the traffic. Raises: as `pause`."""
    with _under_way(station, seen) as rollout:
        finished = station.rollouts.finish(rollout, RolloutState.ROLLED_BACK, reason, rollout.evidence)
        settle(station, finished)
    keep_report(station, finished.id)
    return finished


@contextmanager
def _under_way(station: Station, seen: Rollout | None) -> Iterator[Rollout]:
    """The rollout under way, while nobody else moves it."""
    with station.routes.changing():
        rollout = station.rollouts.active(station.project.name)
        if rollout is None:
            mend = "begin one with: esteira rollout start VERSION"
            raise NotFound("a rollout under way of", station.project.name, mend)
        if seen is not None and (seen.id, seen.state, seen.step) != (rollout.id, rollout.state, rollout.step):
            raise RolloutMoved(seen)
        yield rollout


def promote(station: Station, rollout: Rollout, reason: str) -> Rollout:
    """The challenger becomes the champion; safe to repeat after a crash."""
    with station.routes.changing():
        finished = station.rollouts.finish(rollout, RolloutState.PROMOTED, reason, rollout.evidence)
        settle(station, finished)
    keep_report(station, finished.id)
    return finished


def stop(station: Station, rollout: Rollout, reason: str) -> Rollout:
    """The challenger leaves, the champion takes all the traffic; safe to repeat after a crash."""
    with station.routes.changing():
        now = station.rollouts.get(rollout.id)  # somebody may have paused it meanwhile
        finished = station.rollouts.finish(now, RolloutState.ROLLED_BACK, reason, rollout.evidence)
        settle(station, finished)
    keep_report(station, finished.id)
    return finished


def settle(station: Station, finished: Rollout) -> None:
    """Bring alias and routes to where a finished rollout stands, unless that was done already.

    Its arms or shadows are in the routes until then; later a person may have changed what serves, and that
    stays.
    """
    routes = station.routes.get(finished.model)
    if routes is None or not _shows_rollout(routes):
        return
    if finished.state is RolloutState.PROMOTED:
        champion = station.registry.alias(finished.model, CHAMPION)
        if champion is None or champion.version != finished.challenger_version:
            station.promotions.promote(finished.model, finished.challenger_version, CHAMPION, finished.reason)
    apply_share(station, finished, finished.reason)


def resume(station: Station) -> None:
    """Complete what a killed process left half done: a promotion, a step or the end of a rollout, a split.

    Where nothing was cut off it changes nothing.
    """
    with station.routes.changing():
        _resume(station)
    ended = [each for each in station.rollouts.history(station.project.name) if not each.is_active]
    if ended and not has_report(station, ended[-1]):
        keep_report(station, ended[-1].id)


def _resume(station: Station) -> None:
    station.promotions.resume()
    name = station.project.name
    routes, rollout = station.routes.get(name), station.rollouts.active(name)
    if rollout is not None:
        if rollout.has_begun:
            apply_share(station, rollout, rollout.reason)
        return
    ended = station.rollouts.history(name)
    if ended and routes is not None and _shows_rollout(routes):
        settle(station, ended[-1])
        return
    promoted = [each for each in station.promotions.history(name) if each.alias == CHAMPION]
    if promoted and (routes is None or routes.champion.version != promoted[-1].version):
        version = station.version(promoted[-1].version)
        set_routes(station, (arm(CHAMPION, version, 1.0),), promoted[-1].reason)


def _shows_rollout(routes: Routes) -> bool:
    return len(routes.arms) > 1 or bool(routes.shadows)


def roll_back(station: Station, reason: str) -> Routes:
    """Stop the rollout under way; without one, return to the champion before this one.

    Raises: NotFound when there was none, and what `deploy` raises.
    """
    name = station.project.name
    station.promotions.resume()  # what was deployed through a gateway counts as an earlier champion
    rollout = station.rollouts.active(name)
    if rollout is not None:
        stop(station, rollout, reason)
        routes = station.routes.get(name)
        if routes is not None:
            return routes
    earlier = [
        each.previous_version
        for each in station.promotions.history(name)
        if each.alias == CHAMPION and each.previous_version not in (None, each.version)
    ]
    if not earlier or earlier[-1] is None:
        raise NotFound("an earlier champion of", name, "deploy a version with: esteira deploy VERSION")
    return deploy(station, earlier[-1], reason)
