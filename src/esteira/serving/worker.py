"""One worker of a gateway: everything it opens, wired."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.clock import open_clock
from esteira.base.errors import EsteiraError
from esteira.base.logs import configure_logs
from esteira.base.settings import load_settings
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.monitoring.prediction_log import LabelLog, PredictionLog
from esteira.monitoring.push_log import PushLog
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.features import FeatureReads
from esteira.serving.gateway import Gateway
from esteira.serving.http.rsgi import RsgiApplication
from esteira.serving.http.site import Site
from esteira.serving.live import LiveRoutes
from esteira.serving.metrics import Metrics
from esteira.serving.pushes import Pushes, PushTables
from esteira.serving.routes import RouteStore

if TYPE_CHECKING:
    from esteira.base.settings import Settings
    from esteira.features.stores.port import OnlineStore
    from esteira.registry.signature import ViewRef

log = logging.getLogger(__name__)

SWITCH_S = 0.0005  # a thread that loads a model gives way to requests ten times as soon as by default
YOUNG_OBJECTS = 20_000  # between two garbage collections: a request leaves none, so they find little


def open_worker(root: str, shared: str, parent: str) -> RsgiApplication:
    """The application of one worker process.

    `shared` is the folder where workers count; when the process `parent` is gone, the worker ends too.
    Raises: SystemExit when a store cannot be opened; the log says which.
    """
    settings = load_settings(Path(root))
    configure_logs(settings.log_level)
    try:
        gateway = open_gateway(settings, Path(shared), int(parent))
    except EsteiraError as refused:
        log.error("the gateway cannot start: %s", refused)
        sys.exit(1)
    _favour_requests()
    return RsgiApplication(Site(gateway, max_body_bytes=settings.gateway.max_body_bytes), gateway.close)


def _favour_requests() -> None:
    """Keep the interpreter's own work away from the requests."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: no collection need look at it
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


def open_gateway(settings: Settings, shared: Path | None = None, parent: int | None = None) -> Gateway:
    """A gateway on the project's stores, with its routes loaded and followed.

    Raises: StorageUnwritable, CorruptArtifact, UnknownScheme, MissingExtra.
    """
    worker, flush_ms = f"w{os.getpid()}", settings.gateway.flush_ms
    metrics = Metrics(shared, worker)

    @cache
    def online() -> OnlineStore:
        return open_store(settings.store("online"), readonly=True)

    def reader(views: tuple[ViewRef, ...]) -> OnlineReader:
        return OnlineReader(online(), views)

    bundles = ArtifactStore(settings.store("artifacts")).folder
    live = LiveRoutes(RouteStore(settings.store("state")), bundles, reader, metrics)
    predictions = PredictionLog(settings.store("predictions"), worker, flush_ms)
    labels = LabelLog(settings.store("predictions"), worker, flush_ms)
    clock = open_clock(settings.clock_url())
    pushes = Pushes(PushTables(settings.store("state")), PushLog(settings.store("predictions"), worker))
    gateway = Gateway(
        live,
        predictions,
        labels,
        clock,
        metrics,
        features=FeatureReads(online, clock),
        pushes=pushes,
        default_model=settings.project.name,
    )

    def tick() -> None:
        metrics.predictions_dropped.set((), predictions.dropped)
        metrics.labels_dropped.set((), labels.dropped)
        pushes.follow()
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)  # end as if the parent had said so

    live.refresh()
    pushes.follow()
    live.watch(tick)
    return gateway
