"""The models in memory: a table that is always whole, replaced by one reference, never changed in place."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.serving.live.memory import MIB, leavers
from esteira.serving.routes import CHAMPION, choose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.routes import Routes
    from esteira.serving.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


class LargerThanMemory(EsteiraError):
    """A model that alone takes more than the gateway may hold."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"it takes about {size / MIB:.1f} MiB and a worker may hold {limit / MIB:.1f} MiB of models; "
            "raise memory_mb under [gateway] (each worker has its share), or set it to 0 for no limit"
        )
        self.size, self.limit = size, limit


class LiveModel:
    """The routes of one model at one revision, every arm in memory."""

    __slots__ = ("arms", "by_version", "gpu_bytes", "only", "routes", "size", "used_at")

    def __init__(
        self, routes: Routes, arms: Mapping[str, LoadedArm], size: int = 0, gpu_bytes: int = 0
    ) -> None:
        self.routes, self.arms = routes, arms  # the arms by name
        self.by_version: Mapping[str, LoadedArm] = {each.version: each for each in arms.values()}
        self.size, self.gpu_bytes = size, gpu_bytes  # bytes of memory, as far as is known
        # The arm of every request, where there is no other: one with no share can still be asked by name.
        self.only = arms.get(CHAMPION) if len(routes.arms) == 1 else None
        self.used_at = 0.0  # when it was asked last: who was not for longest leaves first, in a short memory

    @property
    def champion(self) -> LoadedArm:
        """The arm that is always there."""
        return self.arms[CHAMPION]

    def choose(self, key: str, segment: str = "") -> LoadedArm:
        """The arm of a key; in a segment whose requests are not split it is the champion."""
        if not self.routes.is_inside(segment):
            return self.champion
        return self.arms[choose(self.routes, key).name]


class LiveTable:
    """Who is in memory, within a limit of bytes (0 is none), and in the metrics."""

    def __init__(self, metrics: Metrics, limit: int = 0) -> None:
        self.limit = limit
        self.models: Mapping[str, LiveModel] = {}
        self._metrics, self._changing = metrics, threading.Lock()

    def put(self, model: LiveModel) -> list[str]:
        """Swap a model in, and those out that memory has no room for; gives their names.

        A request that has begun keeps the model that it has. Raises: LargerThanMemory.
        """
        name = model.routes.model
        self.check(model.size)
        with self._changing:
            before, gone = self.models.get(name), self._leavers(name, model.size)
            if before is not None:
                model.used_at = before.used_at
            elif self.limit:  # what is new is not the first to go
                model.used_at = max((each.used_at for each in self.models.values()), default=0.0)
            self._replace({**self.models, name: model}, gone)
            self._show(before, model)
            if before is not None and before.routes.revision != model.routes.revision:
                self._metrics.swaps.add((name,))
        log.info("routes taken up", extra={"model": name, "revision": model.routes.revision})
        return gone

    def make_room(self, name: str, size: int) -> list[str]:
        """Let others go before a model is loaded; gives their names. Raises: LargerThanMemory."""
        self.check(size)
        if not self.limit:
            return []
        with self._changing:
            gone = self._leavers(name, size)
            if gone:
                self._replace(self.models, gone)
        return gone

    def drop(self, name: str) -> None:
        """Take a model out."""
        with self._changing:
            if name in self.models:
                self._replace(self.models, [name])

    def check(self, size: int) -> None:
        """Whether a model may be held at all. Raises: LargerThanMemory."""
        if self.limit and size > self.limit:
            raise LargerThanMemory(size, self.limit)

    def _leavers(self, name: str, size: int) -> list[str]:
        if not self.limit:
            return []
        others = {each: (found.used_at, found.size) for each, found in self.models.items() if each != name}
        return leavers(others, self.limit - size)

    def _replace(self, models: Mapping[str, LiveModel], gone: Sequence[str]) -> None:
        for name in gone:
            self._show(models[name], None)
        self.models = {name: each for name, each in models.items() if name not in gone} if gone else models
        self._metrics.models_in_memory.set((self._metrics.worker,), len(self.models))

    def _show(self, before: LiveModel | None, after: LiveModel | None) -> None:
        for live, serves in ((before, 0), (after, 1)):
            if live is None:
                continue
            for arm in live.routes.arms:
                labels = live.routes.model, str(arm.version), arm.name, arm.digest
                self._metrics.model_info.set(labels, serves)
            self._weigh(live, is_held=bool(serves))
            if serves:
                self._metrics.route_revision.set((live.routes.model,), live.routes.revision)

    def _weigh(self, live: LiveModel, *, is_held: bool) -> None:
        """Show the memory of a model's versions, which have equal parts of it."""
        for version in live.by_version:
            labels, versions = (live.routes.model, version), len(live.by_version)
            for gauge, size in (
                (self._metrics.model_memory, live.size),
                (self._metrics.model_gpu_memory, live.gpu_bytes),
            ):
                if is_held and size:
                    gauge.set(labels, size / versions)
                elif not is_held:
                    gauge.forget(labels)
