"""The versions that the process of the shadows has in memory: those that its worker named last."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from esteira.base.errors import EsteiraError
from esteira.serving.live.failures import pause_after
from esteira.serving.mirroring.messages import Held
from esteira.serving.routes import Arm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.mirroring.plans import Target

    Load = Callable[[Arm], LoadedArm]

log = logging.getLogger(__name__)


class NotHeld(EsteiraError):
    """A shadow that could not be loaded, so that it cannot be asked."""

    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(f"the version cannot be loaded: {reason}")
        self.reason = reason


class _Failure(NamedTuple):
    error: NotHeld
    attempts: int
    retry_at: float  # monotonic seconds


class Versions:
    """Loads what it is told to hold, and lets go of the rest; a load that failed is tried again later."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._targets: dict[tuple[str, str, int], Target] = {}
        self._loaded: dict[str, LoadedArm] = {}  # by digest
        self._failed: dict[str, _Failure] = {}

    def hold(self, targets: Sequence[Target]) -> list[Held]:
        """Hold these and no others; gives which of them can be asked."""
        self._targets = {(each.model, each.name, each.version): each for each in targets}
        digests = {each.digest for each in targets}
        self._loaded = {digest: each for digest, each in self._loaded.items() if digest in digests}
        self._failed = {digest: each for digest, each in self._failed.items() if digest in digests}
        return self.again()

    def again(self) -> list[Held]:
        """Try what is due; gives which can be asked."""
        for target in self._targets.values():
            failed = self._failed.get(target.digest)
            if target.digest not in self._loaded and (failed is None or monotonic() >= failed.retry_at):
                self._try(target)
        return [Held(each, each.digest in self._loaded) for each in self._targets.values()]

    @property
    def due_s(self) -> float | None:
        """The seconds until a load is to be tried again; None: there is none."""
        times = [each.retry_at for each in self._failed.values()]
        return max(min(times) - monotonic(), 0.0) if times else None

    def find(self, model: str, name: str, version: int) -> LoadedArm:
        """The shadow, under its name. Raises: NotHeld."""
        target = self._targets.get((model, name, version))
        if target is None:
            raise NotHeld("its worker did not name it")
        loaded = self._loaded.get(target.digest)
        if loaded is None:
            raise self._failed[target.digest].error
        return loaded

    def _try(self, target: Target) -> None:
        arm = Arm(target.name, target.version, target.digest, 0.0)
        try:
            self._loaded[target.digest] = self._load(arm)
        except Exception as broken:  # a model may break its library in any way
            before = self._failed.get(target.digest)
            attempts = 1 if before is None else before.attempts + 1
            error, retry_at = NotHeld(str(broken)), monotonic() + pause_after(attempts)
            self._failed[target.digest] = _Failure(error, attempts, retry_at)
            if before is None:
                facts = {"model": target.model, "version": target.version, "reason": str(broken)}
                known = None if isinstance(broken, EsteiraError) else broken
                log.error("a shadow cannot be loaded", extra=facts, exc_info=known)
        else:
            self._failed.pop(target.digest, None)
