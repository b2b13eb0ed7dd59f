"""What serves now: the routes in force with their versions in memory, followed while the store changes."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import NotFound
from esteira.serving.draining import Draining
from esteira.serving.live.agreement import Alone
from esteira.serving.live.assembly import Assembly
from esteira.serving.live.availability import ModelUnavailable, NotLoaded
from esteira.serving.live.bringing import Bringing
from esteira.serving.live.failures import Failures
from esteira.serving.live.following import Following
from esteira.serving.live.states import State, states
from esteira.serving.live.table import LiveTable
from esteira.serving.live.trimming import Trimming
from esteira.serving.live.uptake import Uptake

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.base.errors import EsteiraError
    from esteira.serving.live.agreement import Votes
    from esteira.serving.live.arms import Bundles, Readers
    from esteira.serving.live.failures import Failure
    from esteira.serving.live.table import LiveModel
    from esteira.serving.routes import Routes, RouteStore
    from esteira.serving.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

EVERY_S = 0.02  # between two looks at the store
VOTING_S = 0.005  # while something is on its way
AGAIN_S = 1.0  # after a look that failed
LOAD_S = 60.0  # that a load may take
UNLOADED = "it was unloaded; load it with POST /v2/repository/models/{}/load"
_NAMED = 10  # models that an error names


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """What a worker may take for its models."""

    memory_bytes: int = 0  # 0: everything is held; else models come when asked for, and the unused leave
    load_s: float = LOAD_S


class LiveRoutes:
    """The table of live models, kept to what the store says and the workers of the gateway agree on."""

    def __init__(
        self,
        store: RouteStore,
        bundles: Bundles,
        readers: Readers,
        metrics: Metrics,
        limits: LiveLimits | None = None,
        agreement: Votes | None = None,
    ) -> None:
        limits = limits or LiveLimits()
        self.draining = Draining()  # the worker puts its gateway's here
        self._trimming = Trimming()
        self._agreement = agreement or Alone()
        self._following, self._table = Following(store), LiveTable(metrics, limits.memory_bytes)
        self._failures = Failures(metrics)
        self._assembly = Assembly(bundles, readers, limits.load_s, self._trimming, metrics)
        self._uptake = Uptake(
            self._following, self._table, self._assembly, self._failures, self._agreement, limits.load_s
        )
        self._bringing = Bringing(self._table, self._assembly, self._failures, self._routes_of, self._admit)
        self._looking, self._stop = threading.RLock(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def models(self) -> Mapping[str, LiveModel]:
        """What is in memory."""
        return self._table.models

    @property
    def failures(self) -> Mapping[str, Failure]:
        """What should serve and does not, by model."""
        return self._failures.by_model

    def is_ready(self) -> bool:
        """Whether requests should come: there is a model to ask, and the gateway is not ending."""
        known = self._following
        has_models = bool(self.models) or (self.is_on_demand and len(known.revisions) > len(known.unloaded))
        return has_models and not self.draining.is_draining()

    @property
    def is_on_demand(self) -> bool:
        """Whether models come into memory when they are asked for."""
        return self._table.limit > 0

    def default(self, name: str) -> str:
        """The model that is asked where none is named: `name` if it has routes, else the only one that has.

        One that was unloaded is no choice, one that is not in memory yet is. Raises: NotFound.
        """
        known = self._following.revisions
        if name in known:
            return name
        others = [each for each in [*known] if each not in self._following.unloaded]
        if len(others) > 1:
            served = ", ".join(sorted(others)[:_NAMED])
            raise NotFound("a default model", "", f"ask /v2/models/NAME/infer for one of {served}")
        return others[0] if others else name

    def absent(self, name: str) -> EsteiraError:
        """Why a model is not in memory: NotFound, ModelUnavailable, or NotLoaded, which `bring` mends."""
        if name in self._following.unloaded:
            return ModelUnavailable(name, UNLOADED.format(name))
        if name not in self._following.revisions:
            known = sorted(self.models)[:_NAMED]
            mend = f"served: {', '.join(known)}" if known else "nothing is deployed yet"
            return NotFound("model", name[:80], mend)
        failure = self.failures.get(name)
        if failure is not None and not (self.is_on_demand and time.monotonic() >= failure.retry_at):
            return ModelUnavailable(name, failure.reason)
        return (
            NotLoaded(name) if self.is_on_demand else ModelUnavailable(name, "it is being loaded; ask again")
        )

    def bring(self, name: str) -> LiveModel:
        """A model in memory, loaded if it is not; it waits, so not for the thread that answers requests.

        Raises: NotFound, ModelUnavailable.
        """
        found = self.models.get(name)
        if found is not None:
            return found
        if not isinstance(why := self.absent(name), NotLoaded):
            raise why
        return self._bringing.bring(name)

    def states(self) -> list[State]:
        """Every version that routes name, and whether it can be asked. Raises: StorageUnwritable."""
        return states(
            self._following,
            self.models,
            self.failures,
            set(self._uptake.candidates),
            is_on_demand=self.is_on_demand,
        )

    def served_by_all(self, name: str) -> int:
        """The oldest revision of a model that a worker of this gateway serves; 0 when one serves none."""
        return self._agreement.served_by_all(name)

    def holders(self, name: str) -> list[str]:
        """The workers of this gateway that have a model in force, whether or not it is in memory."""
        return self._agreement.holders(name)

    def refresh(self, patience_s: float = float("inf")) -> None:
        """Take up what the store says, and wait for that at most so long. Raises: StorageUnwritable."""
        deadline = time.monotonic() + patience_s
        with self._looking:
            self._uptake.look(is_told=True)
            while not self._uptake.is_settled and time.monotonic() < deadline:
                time.sleep(VOTING_S / 5)
                self._uptake.look()

    def watch(self, tick: Callable[[], None]) -> None:
        """Follow the store on a thread of its own until `close`; `tick` is called at every look."""
        self._thread = threading.Thread(target=self._follow, args=(tick,), name="live-routes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following, and leave the other workers to themselves."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._agreement.close()

    def _follow(self, tick: Callable[[], None]) -> None:
        while not self._stop.wait(EVERY_S if self._uptake.is_settled else VOTING_S):
            done = [self._is_done(act) for act in (self._look, tick, self._trimming.tick)]
            if not all(done):  # what failed has held up none of the others
                self._stop.wait(AGAIN_S)

    def _look(self) -> None:
        with self._looking:
            self._uptake.look()

    def _is_done(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except Exception:
            log.exception("routes could not be followed; trying again")
            return False
        return True

    def _routes_of(self, name: str) -> Routes:
        if name in self._following.unloaded:
            raise self.absent(name)
        return self._following.routes(name, self._uptake.agreed.get(name, 0))

    def _admit(self, model: LiveModel) -> bool:
        name = model.routes.model
        with self._uptake.agreeing:
            agreed = self._uptake.agreed.get(name, 0)
            if name in self._following.unloaded or agreed not in (0, model.routes.revision):
                return False
            self._table.put(model)
        self._failures.forget(name)
        return True
