"""What the tests of the process of the shadows share: versions that are held, and requests for them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.serving.worlds import World

from esteira.features.online import OnlineReader
from esteira.monitoring.failure_log import SHADOW_FAILURES, FailureLog, failures_table
from esteira.monitoring.prediction_log import SHADOWS, PredictionLog, predictions_table
from esteira.monitoring.segments import read_segments
from esteira.serving.live.arms import load_arm
from esteira.serving.mirroring.messages import Mirrored
from esteira.serving.mirroring.plans import Target
from esteira.serving.shadow.asking import Asking
from esteira.serving.shadow.held import Versions

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.registry.bundle import Model

AT = 1_372_680_000_000_000
ROW = {"miles": 100, "carrier": "UA"}


class Shadows:
    """A world whose models are held as shadows, named next, of the versions 2, 3…"""

    def __init__(self, root: Path, *models: Model) -> None:
        self.world = World(root / "p")
        self.folder = root / "log"
        load = partial(
            load_arm,
            bundles=self.world.artifacts.folder,
            readers=lambda views: OnlineReader(self.world.online, views),
        )
        self.versions = Versions(load)
        self.targets = [
            Target("late", "next", version, self.world.artifacts.put(model).digest)
            for version, model in enumerate(models, start=2)
        ]
        self.held = self.versions.hold(self.targets)
        answers = PredictionLog(f"file:{self.folder}", "s1", kind=SHADOWS)
        self.asking = Asking(
            self.versions, answers, FailureLog(f"file:{self.folder}", "s1", kind=SHADOW_FAILURES)
        )

    def answers(self) -> list[dict[str, Any]]:
        """What the shadows said, as it is on disk."""
        rows: list[dict[str, Any]] = predictions_table(read_segments(self.folder, SHADOWS, {})[0]).to_pylist()
        return rows

    def failures(self) -> list[dict[str, Any]]:
        """What they did not say, as it is on disk."""
        payloads, _ = read_segments(self.folder, SHADOW_FAILURES, {})
        rows: list[dict[str, Any]] = failures_table(payloads).to_pylist()
        return rows


def mirrored(body: object, door: str = "mlflow", header: str | None = None, **changed: Any) -> Mirrored:
    """A request that was answered."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = Mirrored((("next", 2),), "late", door, header, content, "f1", "ana", AT, 7)
    return found._replace(**changed)
