"""What serves now: the routes in force with their versions in memory, followed while the store changes."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.serving.arms import LoadedArm, load_arm
from esteira.serving.routes import CHAMPION, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.serving.arms import Bundles, Readers
    from esteira.serving.metrics import Metrics
    from esteira.serving.routes import Routes, RouteStore

log = logging.getLogger(__name__)

EVERY_S = 0.02  # between two looks at the store
RETRY_S = 1.0  # until a route that could not be loaded is tried again


@dataclass(frozen=True, slots=True)
class LiveModel:
    """The routes of one model at one revision, every arm in memory."""

    routes: Routes
    arms: Mapping[str, LoadedArm]  # by arm name
    by_version: Mapping[str, LoadedArm]

    @property
    def champion(self) -> LoadedArm:
        """The arm that is always there."""
        return self.arms[CHAMPION]

    def choose(self, key: str) -> LoadedArm:
        """The arm of a key."""
        return self.arms[choose(self.routes, key).name]


@dataclass(frozen=True, slots=True)
class Failure:
    """Routes that could not be loaded; those before them still serve, if there were any."""

    revision: int
    reason: str
    at: float  # time.monotonic() seconds


class LiveRoutes:
    """The table of live models: always whole, replaced by one reference, never changed in place."""

    def __init__(self, store: RouteStore, bundles: Bundles, readers: Readers, metrics: Metrics) -> None:
        self._store, self._bundles, self._readers, self._metrics = store, bundles, readers, metrics
        self.models: Mapping[str, LiveModel] = {}
        self.failures: Mapping[str, Failure] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def refresh(self) -> None:
        """Load what is new in the store; each model's swap is its own. Raises: StorageUnwritable."""
        for name, revision in self._store.revisions().items():
            live, failed = self.models.get(name), self.failures.get(name)
            if live is not None and live.routes.revision == revision:
                continue
            waiting = failed is not None and time.monotonic() - failed.at < RETRY_S
            if failed is None or failed.revision != revision or not waiting:
                self._take_up(name)

    def watch(self, tick: Callable[[], None]) -> None:
        """Follow the store on a thread of its own until `close`; `tick` is called at every look."""
        self._thread = threading.Thread(target=self._follow, args=(tick,), name="live-routes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _follow(self, tick: Callable[[], None]) -> None:
        seen = -1
        while not self._stop.wait(EVERY_S):
            try:
                changes = self._store.changes()  # before reading, so that no later write is missed
                if changes != seen or self.failures:
                    self.refresh()
                    seen = changes
                tick()
            except Exception:
                log.exception("routes could not be followed; trying again")
                self._stop.wait(RETRY_S)

    def _take_up(self, name: str) -> None:
        routes = self._store.get(name)
        if routes is None:
            return
        try:
            loaded = self._load(routes)
        except Exception as failure:  # noqa: BLE001 - whatever a bundle breaks, what serves goes on
            self._report(routes, failure)
            return
        before = self.models.get(name)
        self.models = {**self.models, name: loaded}
        self.failures = {model: each for model, each in self.failures.items() if model != name}
        self._count(loaded, before)

    def _load(self, routes: Routes) -> LiveModel:
        before = self.models.get(routes.model)
        kept = {each.arm.digest: each for each in before.arms.values()} if before else {}
        arms: dict[str, LoadedArm] = {}
        for arm in routes.arms:
            old = kept.get(arm.digest)
            arms[arm.name] = old.serving(arm) if old else load_arm(arm, self._bundles, self._readers)
        return LiveModel(routes, arms, {each.version: each for each in arms.values()})

    def _report(self, routes: Routes, failure: Exception) -> None:
        known, before = isinstance(failure, EsteiraError), self.failures.get(routes.model)
        reason = str(failure) if known else "it could not be loaded; the gateway's log says why"
        self.failures = {**self.failures, routes.model: Failure(routes.revision, reason, time.monotonic())}
        if before is not None and before.revision == routes.revision:
            return  # said once
        self._metrics.route_failures.add((routes.model,))
        facts = {"model": routes.model, "revision": routes.revision, "reason": str(failure)}
        log.error("routes not taken up", extra=facts, exc_info=None if known else failure)

    def _count(self, loaded: LiveModel, before: LiveModel | None) -> None:
        name = loaded.routes.model
        for arm in before.routes.arms if before else ():
            self._metrics.model_info.set((name, str(arm.version), arm.name, arm.digest), 0)
        for arm in loaded.routes.arms:
            self._metrics.model_info.set((name, str(arm.version), arm.name, arm.digest), 1)
        self._metrics.route_revision.set((name,), loaded.routes.revision)
        facts = {"model": name, "revision": loaded.routes.revision, "arms": len(loaded.arms)}
        log.info("routes taken up", extra=facts)
