"""The rollout of a challenger: start it, gather its evidence, and bring the routes to where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from esteira.base.errors import BadInput, NotFound
from esteira.project.release import CHALLENGER, CHAMPION, arm, champion_of, deploy, deployable, set_routes
from esteira.project.rescoring import Rescorer
from esteira.project.watch import predictions
from esteira.serving.rollout.analysis import Evidence, Health, paired_losses
from esteira.serving.rollout.state import RolloutState

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from esteira.base.records import ModelVersion
    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout
    from esteira.serving.routes import Routes


UNNOTICED_S = 0.001  # a champion counts as this slow at least: nobody waits for microseconds, and caches vary


def start_canary(station: Station, number: int, reason: str) -> Routes:
    """Begin the rollout of a version at the plan's first share.

    Raises: NotFound (no such version, or no champion yet), BadInput (it serves already), RolloutUnderWay.
    """
    challenger = deployable(station, number)
    with station.routes.changing():
        return _begin_canary(station, challenger, reason)


def _begin_canary(station: Station, challenger: ModelVersion, reason: str) -> Routes:
    name, number, champion = station.project.name, challenger.version, champion_of(station)
    if champion is None:
        raise NotFound("a champion of", name, f"put one into production with: esteira deploy {number}")
    if champion.version == number:
        raise BadInput(f"version {number} of {name} is the champion already")
    rollout = station.rollouts.start(name, champion.version, number, station.project.rollout, reason)
    if rollout.state is RolloutState.PENDING:
        station.promotions.promote(name, number, CHALLENGER, reason)
        rollout = station.rollouts.get(rollout.id)  # a ring that runs may have completed it meanwhile
    if rollout.state is RolloutState.PENDING:
        rollout = station.rollouts.advance(rollout, reason)
    return apply_share(station, rollout, reason)


def apply_share(station: Station, rollout: Rollout, reason: str) -> Routes:
    """Bring the routes to the share that the rollout stands for; safe to repeat after a crash."""
    champion = station.version(rollout.champion_version)
    challenger = station.version(rollout.challenger_version)
    if rollout.state is RolloutState.PROMOTED:
        return set_routes(station, (arm(CHAMPION, challenger, 1.0),), reason)
    if not rollout.is_active:
        return set_routes(station, (arm(CHAMPION, champion, 1.0),), reason)
    share = rollout.share
    arms = (arm(CHAMPION, champion, 1.0 - share), arm(CHALLENGER, challenger, share))
    return set_routes(station, arms, reason)


def widen(station: Station, rollout: Rollout, reason: str, to_step: int | None = None) -> Rollout:
    """Take the next step, unless it was taken already, and bring the routes along."""
    with station.routes.changing():
        now = station.rollouts.get(rollout.id)  # somebody may have moved or stopped it
        if now.is_active:
            if to_step is None or rollout.step < to_step:
                now = station.rollouts.advance(rollout, reason, rollout.evidence)
            apply_share(station, now, reason)
    return now


def promote(station: Station, rollout: Rollout, reason: str) -> Rollout:
    """The challenger becomes the champion; safe to repeat after a crash."""
    with station.routes.changing():
        finished = station.rollouts.finish(rollout, RolloutState.PROMOTED, reason, rollout.evidence)
        settle(station, finished)
    return finished


def stop(station: Station, rollout: Rollout, reason: str) -> Rollout:
    """The challenger leaves, the champion takes all the traffic; safe to repeat after a crash."""
    with station.routes.changing():
        finished = station.rollouts.finish(rollout, RolloutState.ROLLED_BACK, reason, rollout.evidence)
        settle(station, finished)
    return finished


def settle(station: Station, finished: Rollout) -> None:
    """Bring alias and routes to where a finished rollout stands, unless that was done already.

    Its arms are in the routes until then; later a person may have changed what serves, and that stays.
    """
    routes = station.routes.get(finished.model)
    if routes is None or len(routes.arms) < 2:
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


def _resume(station: Station) -> None:
    station.promotions.resume()
    name = station.project.name
    routes, rollout = station.routes.get(name), station.rollouts.active(name)
    if rollout is not None:
        if rollout.state is RolloutState.RUNNING:
            apply_share(station, rollout, rollout.reason)
        return
    ended = station.rollouts.history(name)
    if ended and routes is not None and len(routes.arms) > 1:
        settle(station, ended[-1])
        return
    promoted = [each for each in station.promotions.history(name) if each.alias == CHAMPION]
    if promoted and (routes is None or routes.champion.version != promoted[-1].version):
        version = station.version(promoted[-1].version)
        set_routes(station, (arm(CHAMPION, version, 1.0),), promoted[-1].reason)


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


class PairedEvidence:
    """Both models on every labelled prediction since a rollout began; each row is scored once.

    Of a challenger that asks for a column that the champion does not know, only its own answers count.

    What it remembers can be read again from the tables, so a restart loses time only.
    """

    def __init__(self, station: Station, rollout: Rollout) -> None:
        self._station, self.rollout_id = station, rollout.id
        self._rescorer = Rescorer(station)
        self._known: dict[str, tuple[int, float]] = {}  # prediction id → when, difference of losses

    def gather(self, rollout: Rollout, now: datetime) -> Evidence:
        """The evidence up to now."""
        rows = predictions(self._station, rollout.started_at, now)
        labelled = rows.filter(pc.is_valid(rows["label"]))
        fresh = [i for i, each in enumerate(labelled["id"].to_pylist()) if each not in self._known]
        if fresh:
            self._score(labelled.take(fresh), rollout)
        known = np.array(list(self._known.values()), dtype=np.float64).reshape(-1, 2)
        return Evidence(
            step=rollout.step,
            started_at=rollout.started_at,
            step_since=rollout.step_since,
            now=now,
            at=known[:, 0].astype(np.int64),
            differences=known[:, 1],
            health=_health(rows, rollout),
        )

    def _score(self, rows: pa.Table, rollout: Rollout) -> None:
        pair, by = (rollout.champion_version, rollout.challenger_version), rows["version"].to_numpy()
        shared = [
            each
            for each in np.unique(by).tolist()
            if all(self._rescorer.can_score(each, number) for number in pair)
        ]
        rows = rows.filter(np.isin(by, shared))
        if not rows.num_rows:
            return
        champion = self._rescorer.scores(rows, rollout.champion_version)
        challenger = self._rescorer.scores(rows, rollout.challenger_version)
        found = paired_losses(rows["label"].to_numpy(), champion, challenger)
        at = rows["at"].cast("int64").to_pylist()
        self._known |= dict(zip(rows["id"].to_pylist(), zip(at, found.tolist(), strict=True), strict=True))


def _health(rows: pa.Table, rollout: Rollout) -> Health:
    """How the challenger's arm answered."""
    version = rows["version"].to_numpy()
    latency, score = rows["latency"].to_numpy(), rows["score"].to_numpy()
    mine, other = version == rollout.challenger_version, version == rollout.champion_version
    ratio = None
    if mine.any() and other.any():
        ratio = float(np.median(latency[mine]) / max(float(np.median(latency[other])), UNNOTICED_S))
    return Health(int(mine.sum()), 0, int(np.count_nonzero(~np.isfinite(score[mine]))), ratio)
