"""A project whose gateway is this very process: it counts and votes as a worker does, and serves nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.serving.worlds import deployment, tree_model
from tests.web.stations import PROJECT, SETTINGS, lay_down

from esteira.project.station import open_station
from esteira.serving.draining import Draining
from esteira.serving.live.agreement import Agreement
from esteira.serving.telemetry.metrics import Metrics
from esteira.web.pulse import Pulses

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.registry.bundle import Model
    from esteira.serving.routes import Routes

PORT = 8123


class Gatewayed:
    """A station and the folder of a gateway, whose one worker lives until `end`."""

    def __init__(self, root: Path, more: str = "") -> None:
        self.station = open_station(
            lay_down(root, SETTINGS.replace("[gateway]", f"[gateway]\n{more}"), PROJECT)
        )
        self.folder = self.station.settings.home / "gateway" / str(PORT)
        self.folder.mkdir(parents=True)
        self.worker = f"w{os.getpid()}"
        self.draining = Draining(self.folder)
        self.metrics, self.agreement = Metrics(self.folder, self.worker), Agreement(self.folder, self.worker)
        self.metrics.worker_memory.set((self.worker,), 64 * 2**20)
        self.metrics.build_info.set(("0.1.0", "3.11"), 1)
        self.pulses = Pulses(self.station.settings)

    def deploy(
        self, *models: Model, name: str = "tiny", shares: tuple[float, ...] = (1.0,), is_taken_up: bool = True
    ) -> Routes:
        """Put models in force, and hold them unless told otherwise."""
        wanted = deployment(
            self.station.artifacts, *(models or (tree_model(-1.0),)), name=name, shares=shares
        )
        routes = self.station.routes.set(wanted)
        if is_taken_up:
            for arm in routes.arms:
                self.metrics.model_info.set((name, str(arm.version), arm.name, arm.digest), 1)
            self.metrics.route_revision.set((name,), routes.revision)
        return routes

    def answer(self, *seconds: float, name: str = "tiny", version: str = "1", code: str = "200") -> None:
        """Count answers."""
        for each in seconds:
            self.metrics.requests.add((name, version, "champion", "oip", code))
            self.metrics.request_seconds.observe((name, "oip"), each)
            self.metrics.predict_seconds.observe((name, version), each / 4)
            self.metrics.cpu_seconds.add((name, version), each / 4)

    def end(self) -> None:
        """As a worker that is killed: its files stay, its locks are gone."""
        self.metrics.close()
        self.agreement.close()
