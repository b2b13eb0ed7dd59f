"""Changes of what serves, asked of the gateway itself: recorded with who and why, then put in force.

A deployment writes, in this order: the audit record, the promotion that it intends, the audit record of the
routes, the routes; no rollout begins and no other change is decided on from the check of what is in force to
the end of that. The registry is not asked here: its alias follows when a process of the project completes
the promotion, in the next round of `esteira up` or the next `esteira deploy` or `rollback`. A kill in between
leaves an intended promotion, which that process completes with the routes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.registry.promotions import Promotion, PromotionIntents
from esteira.serving.rollout.state import RolloutUnderWay
from esteira.serving.rollout.store import RolloutStore
from esteira.serving.routes import CHAMPION, Arm, Routes, RoutesMoved, RouteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.base.ports import AuditTrail, Clock
    from esteira.serving.rollout.state import Rollout

log = logging.getLogger(__name__)

LONGEST_REASON = 500  # characters
PATIENCE_S = 2.0  # for another change, which may wait for the registry: a thread of the gateway waits along


class NoAuditTrail(EsteiraError):
    """A change that nobody would remember."""

    status = 503

    def __init__(self) -> None:
        super().__init__(
            "this gateway keeps no audit trail, so nothing that serves can be changed through it; start it "
            "with esteira up, or with --audit PACKAGE.MODULE:TRAIL"
        )


class Undeployable(BadInput):
    """A version that a gateway could not serve; nothing was changed."""

    status = 409

    def __init__(self, model: str, version: int, reason: str) -> None:
        super().__init__(f"version {version} of {model} cannot be served: {reason}; what serves stays")
        self.model, self.version, self.reason = model, version, reason


def open_deployments(
    state: str, clock: Clock, trial: Callable[[Arm], object], audit: Callable[[str], AuditTrail] | None
) -> Deployments:
    """Deployments on the state store of URL `state`. Raises: StorageUnwritable, CorruptArtifact."""

    def rollout(model: str) -> Rollout | None:
        return None if rollouts is None else rollouts.active(model)

    rollouts = None if audit is None else RolloutStore(state, audit("gateway"), clock)
    promotions = PromotionIntents(state)
    return Deployments(RouteStore(state), promotions, clock, trial=trial, rollout=rollout, audit=audit)


class Deployments:
    """Loads, unloads and deploys. `by` is the name of a key, `reason` what the audit keeps.

    `trial` loads an arm as the gateway would and lets it go; `rollout` says which one of a model is under
    way; `audit` opens the trail of an actor, None where there is none.
    Raises: NoAuditTrail and StorageUnwritable, each of them.
    """

    def __init__(
        self,
        routes: RouteStore,
        promotions: PromotionIntents,
        clock: Clock,
        *,
        trial: Callable[[Arm], object],
        rollout: Callable[[str], Rollout | None],
        audit: Callable[[str], AuditTrail] | None,
    ) -> None:
        self._routes, self._promotions, self._clock = routes, promotions, clock
        self._trial, self._rollout, self._audit = trial, rollout, audit

    def deploy(self, model: str, version: int, by: str, reason: str) -> Routes:
        """Put a version in force at once, as champion with the whole share, once it was loaded on trial.

        One that is so already is only let back into memory.
        Raises: NotFound, Undeployable, RolloutUnderWay, RoutesMoved, ChangeUnderWay, BadInput (a reason that
        is too long).
        """
        trail = self._trail(by, reason)
        arm = Arm(CHAMPION, version, self._digest(model, version), 1.0)
        self._refuse_rollout(model)
        current = self._routes.get(model)
        if current is None or current.arms != (arm,):
            self._try(model, arm)
            with self._routes.changing(PATIENCE_S):
                current = self._put_in_force(model, arm, current, trail, reason)
        self._let_in(model, trail, reason)
        return current

    def load(self, model: str, by: str, reason: str) -> Routes:
        """Let a model that was unloaded back into memory. Raises: NotFound, BadInput."""
        trail, routes = self._trail(by, reason), self._in_force(model)
        self._let_in(model, trail, reason)
        return routes

    def unload(self, model: str, by: str, reason: str) -> None:
        """Take a model out of the memory of every gateway; its routes stay. Raises: NotFound, BadInput."""
        trail = self._trail(by, reason)
        self._in_force(model)
        if model not in self._routes.unloaded():
            trail.record("model.unload", f"model/{model}", reason=reason)
            self._routes.set_unloaded(model, is_unloaded=True)

    def _put_in_force(
        self, model: str, arm: Arm, current: Routes | None, trail: AuditTrail, reason: str
    ) -> Routes:
        self._refuse_rollout(model)  # one may have begun while the version was tried
        found, revision = self._routes.get(model), current.revision if current is not None else 0
        if found is not None and found.arms == (arm,):
            return found  # somebody else was asked for the same
        if found != current:
            raise RoutesMoved(model, revision, found)
        before = current.champion.version if current is not None else None
        facts = {"alias": CHAMPION, "previous_version": before}
        trail.record("model.promote", f"{model}@{arm.version}", reason=reason, facts=facts)
        self._promotions.write(Promotion(model, arm.version, CHAMPION, self._clock.now(), reason, before))
        shares = {"shares": {f"{arm.name}:{arm.version}": arm.share}}
        trail.record("routes.set", f"model/{model}", reason=reason, facts=shares)
        routes = Routes(model, (arm,), current.salt if current is not None else model)
        return self._routes.set(routes, expected_revision=revision)

    def _let_in(self, model: str, trail: AuditTrail, reason: str) -> None:
        if model in self._routes.unloaded():
            trail.record("model.load", f"model/{model}", reason=reason)
            self._routes.set_unloaded(model, is_unloaded=False)

    def _trail(self, by: str, reason: str) -> AuditTrail:
        if self._audit is None:
            raise NoAuditTrail
        if len(reason) > LONGEST_REASON:
            raise BadInput(f"a reason has at most {LONGEST_REASON} characters, found {len(reason)}")
        return self._audit(f"key:{by}")  # no key can pass for the platform itself, whatever it is named

    def _in_force(self, model: str) -> Routes:
        routes = self._routes.get(model)
        if routes is None:
            raise NotFound("model", model[:80], "it has no routes; load a version of it first")
        return routes

    def _digest(self, model: str, version: int) -> str:
        known = self._routes.known(model)
        if version not in known:
            numbers = ", ".join(map(str, sorted(known))) or "none"
            mend = f"those that may be loaded: {numbers}; others first with: esteira deploy {version}"
            raise NotFound(f"version of model {model[:80]!r}", str(version), mend)
        return known[version]

    def _refuse_rollout(self, model: str) -> None:
        rollout = self._rollout(model)
        if rollout is not None:
            raise RolloutUnderWay(rollout)

    def _try(self, model: str, arm: Arm) -> None:
        try:
            self._trial(arm)
        except EsteiraError as refused:
            raise Undeployable(model, arm.version, str(refused)) from refused
        except Exception as broken:  # whatever a bundle breaks, what serves goes on
            log.exception("a version could not be loaded", extra={"model": model, "version": arm.version})
            raise Undeployable(model, arm.version, "the gateway's log says why") from broken
