"""Workers of one gateway without a server: what each has in memory, as they agree."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.serving.worlds import deployment, project, tree_model

from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.live.agreement import Agreement
from esteira.serving.live.routes import LiveLimits, LiveRoutes
from esteira.serving.routes import RouteStore
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.base.settings import Settings
    from esteira.serving.routes import Routes

ROW = [1.0, 0.0, 0.0]


class Team:
    """A project folder, and workers that share one folder beside it."""

    def __init__(self, root: Path) -> None:
        self.settings = project(root / "p")
        self.folder = root / "shared"
        self.artifacts = ArtifactStore(self.settings.store("artifacts"))
        self.routes = RouteStore(self.settings.store("state"))

    def worker(self, name: str = "w1", limits: LiveLimits | None = None) -> LiveRoutes:
        """One more worker, which has taken nothing up yet."""
        return open_worker(self.settings, self.folder, name, limits)

    def deploy(self, *lows: float, name: str = "late", shares: tuple[float, ...] = (1.0,)) -> Routes:
        """Routes to tree models that tell their number."""
        models = [tree_model(low) for low in lows]
        return self.routes.set(deployment(self.artifacts, *models, name=name, shares=shares))

    def hide(self, routes: Routes) -> Path:
        """Take the bundle of a champion away; gives where it must come back to."""
        folder = self.artifacts.folder(routes.champion.digest)
        folder.rename(folder.with_suffix(".hidden"))
        return folder

    def show(self, folder: Path) -> None:
        """Bring it back."""
        folder.with_suffix(".hidden").rename(folder)


def open_worker(settings: Settings, folder: Path, name: str, limits: LiveLimits | None = None) -> LiveRoutes:
    """What a worker process has, without its server."""
    return LiveRoutes(
        RouteStore(settings.store("state")),
        ArtifactStore(settings.store("artifacts")).folder,
        lambda _views: pytest.fail("no views"),
        Metrics(),
        limits,
        Agreement(folder, name),
    )


def look(*workers: LiveRoutes, times: int = 1) -> None:
    """Let each look so many times, one after the other; loads have time to end between."""
    for _ in range(times):
        for worker in workers:
            worker._uptake.look(is_told=True)
        time.sleep(0.002)


def revision(live: LiveRoutes, name: str = "late") -> int:
    """The revision that a worker serves; 0 for none."""
    found = live.models.get(name)
    return found.routes.revision if found else 0


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.003)
    return True


def main(root: str, name: str) -> None:
    """A worker process: says each revision that it serves and when, until it is killed."""
    team = Team(Path(root))
    live = team.worker(name)
    live.refresh(10)
    live.watch(lambda: None)
    said = -1
    while True:
        now = revision(live)
        if now != said:
            sys.stdout.write(f"{now} {time.monotonic():.6f}\n")
            sys.stdout.flush()
            said = now
        time.sleep(0.001)


if __name__ == "__main__":
    main(*sys.argv[1:])
