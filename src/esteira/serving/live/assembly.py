"""From routes to a model in memory: what is there is kept, the rest is loaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from esteira.serving.live.arms import load_arm
from esteira.serving.live.loads import Load, Loads
from esteira.serving.live.memory import Scales, bundle_bytes
from esteira.serving.live.table import LiveModel
from esteira.serving.telemetry.resources import gpu_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.serving.live.arms import Bundles, LoadedArm, Readers
    from esteira.serving.live.trimming import Trimming
    from esteira.serving.routes import Arm, Routes
    from esteira.serving.telemetry.metrics import Metrics

    Parts = Mapping[str, LoadedArm | Load]  # by digest


class Assembly:
    """Loads the versions that routes name."""

    def __init__(
        self, bundles: Bundles, readers: Readers, load_s: float, trimming: Trimming, metrics: Metrics
    ) -> None:
        self._bundles, self._readers, self._trimming, self._metrics = bundles, readers, trimming, metrics
        self._gpu_bytes: dict[str, int] = {}  # that loading a bundle took, by digest
        self.loads, self._scales = Loads(self._load, load_s), Scales()

    def size(self, routes: Routes, platforms: Mapping[str, str] | None = None) -> int:
        """The bytes of memory that routes take, each bundle once; `platforms` are the runtimes by digest."""
        known = platforms or {}
        digests = {arm.digest for arm in routes.arms}
        return sum(self._scales.size(bundle_bytes(self._bundles(d)), known.get(d, "")) for d in digests)

    def begin(self, routes: Routes, before: LiveModel | None, *, is_urgent: bool = False) -> Parts:
        """Each version: kept from the routes before, or being loaded."""
        kept = {each.arm.digest: each for each in before.arms.values()} if before else {}
        return {
            arm.digest: kept.get(arm.digest) or self.loads.start(arm, is_urgent=is_urgent)
            for arm in routes.arms
        }

    def finish(self, routes: Routes, parts: Parts) -> LiveModel:
        """The model of parts that are all done. Raises: what loading raised, LoadHangs."""
        by_digest: dict[str, LoadedArm] = {}
        for digest, part in parts.items():
            by_digest[digest] = part.result() if isinstance(part, Load) else part
        arms = {arm.name: by_digest[arm.digest].serving(arm) for arm in routes.arms}
        size = self.size(routes, {digest: each.platform for digest, each in by_digest.items()})
        return LiveModel(routes, arms, size, sum(self._gpu_bytes.get(digest, 0) for digest in by_digest))

    def wait(self, routes: Routes, before: LiveModel | None) -> LiveModel:
        """The model, whatever it takes. Raises: as `finish`."""
        parts = self.begin(routes, before, is_urgent=True)
        for part in parts.values():
            if isinstance(part, Load):
                self.loads.wait(part)
        return self.finish(routes, parts)

    def _load(self, arm: Arm) -> LoadedArm:
        started, gpu = time.perf_counter(), sum(gpu_bytes().values())
        with self._scales.weighing(bundle_bytes(self._bundles(arm.digest))) as platform:
            loaded = load_arm(arm, self._bundles, self._readers)
            platform.append(loaded.platform)
        self._metrics.load_seconds.observe((), time.perf_counter() - started)
        if grown := sum(gpu_bytes().values()) - gpu:
            self._gpu_bytes[arm.digest] = grown
        self._trimming.watch(loaded.decoder)  # it lives as long as the version
        return loaded
