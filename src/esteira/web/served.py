"""The models that routes name, and whether each of their versions can be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.serving.live.states import LOADING, READY, UNAVAILABLE, UNLOADING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from esteira.serving.live.agreement import Vote
    from esteira.serving.routes import Arm, Routes, RouteStore
    from esteira.serving.telemetry.readings import Numbers

UNLOADED = "it was unloaded"
ASKED_FIRST = "loaded when first asked"
NO_GATEWAY = "no gateway runs"
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")  # in a reason: its beginning says enough
_WISHED = {UNLOADED: "unloaded", ASKED_FIRST: "on demand"}
_URGENCY = (UNAVAILABLE, LOADING, UNLOADING, READY)


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """One arm of a revision of the routes."""

    arm: Arm
    revision: int
    state: str  # as in the model repository extension
    why: str = ""  # not ready

    @property
    def word(self) -> str:
        """The state as a page says it: a version that is absent because somebody wished so is no failure."""
        return _WISHED.get(self.why, self.state.lower()) if self.state == UNAVAILABLE else self.state.lower()

    @property
    def trouble(self) -> str:
        """What keeps it from serving though nobody wished it; empty when nothing does."""
        return "" if self.state != UNAVAILABLE or self.why in _WISHED else self.why


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model with the versions that serve, and those that should."""

    name: str
    revision: int  # of the newest routes
    in_force: int  # of those that every worker serves; 0: none that is known
    versions: tuple[ServedVersion, ...]
    failures: int = 0  # routes that a worker could not take up, since the gateway started

    @property
    def worst(self) -> ServedVersion:
        """The version that stands for the model."""
        return min(self.versions, key=lambda each: _URGENCY.index(each.state))

    @property
    def serving(self) -> tuple[Arm, ...]:
        """The arms that answer by now; those that should, where none does."""
        ready = tuple(each.arm for each in self.versions if each.state == READY)
        return ready or tuple(each.arm for each in self.versions if each.revision == self.revision)


class Standings:
    """What a gateway's numbers and votes say of the versions of its models; without a gateway, nothing."""

    def __init__(self, numbers: Numbers | None, votes: Iterable[Vote], *, is_on_demand: bool) -> None:
        self._is_running, self._is_on_demand = numbers is not None, is_on_demand
        numbers = numbers or {}
        info = numbers.get("esteira_model_info", {})
        self.held = {(model, version, digest) for (model, version, _, digest), on in info.items() if on[0]}
        self._in_force = _by_model(numbers.get("esteira_route_revision", {}))
        self._failures = _by_model(numbers.get("esteira_route_failures_total", {}))
        self._votes: dict[tuple[str, int], list[Vote]] = {}
        for vote in votes:
            self._votes.setdefault((vote.model, vote.revision), []).append(vote)

    def model(self, store: RouteStore, newest: Routes, *, is_unloaded: bool) -> ServedModel:
        """One model, with the versions of the routes in force and of newer ones that are on their way."""
        in_force = self._in_force.get(newest.model, 0)
        former = store.get(newest.model, in_force) if in_force not in {0, newest.revision} else None
        found = {}
        for routes in (former, newest):
            for arm in routes.arms if routes is not None else ():
                seen = self._version(routes, arm, is_unloaded=is_unloaded) if routes is not None else None
                if seen is not None and ((arm.version, arm.digest) not in found or seen.state != READY):
                    found[arm.version, arm.digest] = seen
        failures = self._failures.get(newest.model, 0)
        return ServedModel(newest.model, newest.revision, in_force, tuple(found.values()), failures)

    def _version(self, routes: Routes, arm: Arm, *, is_unloaded: bool) -> ServedVersion:
        is_held = (routes.model, str(arm.version), arm.digest) in self.held
        votes = self._votes.get((routes.model, routes.revision), [])
        refusals = [vote.reason for vote in votes if vote.state == "refused"]
        if not self._is_running:
            state, why = UNAVAILABLE, NO_GATEWAY
        elif is_unloaded:
            state, why = (UNLOADING if is_held else UNAVAILABLE), UNLOADED
        elif is_held:
            state, why = READY, ""
        elif refusals:
            state, why = UNAVAILABLE, _DIGEST.sub(r"\1…", refusals[0])
        elif any(vote.state == "loading" for vote in votes) or not self._is_on_demand:
            state, why = LOADING, ""
        else:
            state, why = UNAVAILABLE, ASKED_FIRST
        return ServedVersion(arm, routes.revision, state, why)


def served_models(store: RouteStore, standings: Standings) -> list[ServedModel]:
    """Every model that has routes, by name. Raises: StorageUnwritable."""
    unloaded = store.unloaded()
    newest = (store.get(name) for name in store.names())
    return [
        standings.model(store, routes, is_unloaded=routes.model in unloaded)
        for routes in newest
        if routes is not None
    ]


def _by_model(series: Mapping[tuple[str, ...], Sequence[float]]) -> dict[str, int]:
    return {labels[0]: int(numbers[0]) for labels, numbers in series.items()}
