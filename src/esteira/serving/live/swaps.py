"""Swaps of a gateway that runs, one after the other, each awaited until every worker serves it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import ServiceUnreachable
from esteira.serving.live.agreement import served_by_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.serving.routes import Routes

PATIENCE_S = 30.0
_LOOK_S = 0.003


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap; times are those of time.monotonic(), in seconds."""

    revision: int
    deployed_at: float  # when the routes were in the store
    served_at: float  # when no worker served older ones any more

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.served_at - self.deployed_at


def swap_repeatedly(deploy: Callable[[int], Routes], count: int, folder: Path) -> list[Swap]:
    """Put `count` routes in force, which `deploy` makes of 1, 2, 3…; `folder` is `.esteira/gateway/PORT`.

    Raises: ServiceUnreachable (a swap that no worker takes up in 30 s).
    """
    swaps = []
    for number in range(1, count + 1):
        routes = deploy(number)
        deployed_at = time.monotonic()
        while served_by_all(folder, routes.model) < routes.revision:
            if time.monotonic() - deployed_at > PATIENCE_S:
                reason = (
                    f"revision {routes.revision} of {routes.model!r} is not served after {PATIENCE_S:g} s"
                )
                raise ServiceUnreachable("the gateway", str(folder), reason)
            time.sleep(_LOOK_S)
        swaps.append(Swap(routes.revision, deployed_at, time.monotonic()))
    return swaps
