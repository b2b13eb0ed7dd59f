"""One worker of a gateway: everything it opens, wired."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.clock import open_clock
from esteira.base.errors import EsteiraError
from esteira.base.logs import configure_logs
from esteira.base.settings import load_settings
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.monitoring.failure_log import FailureLog
from esteira.monitoring.prediction_log import LabelLog, PredictionLog
from esteira.monitoring.push_log import PushLog
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.access.guard import Guard, access_mode
from esteira.serving.access.keys import KeyRing, KeyStore
from esteira.serving.audits import audit_trails
from esteira.serving.deployments import open_deployments
from esteira.serving.draining import Draining
from esteira.serving.features import FeatureReads
from esteira.serving.gateway import Gateway
from esteira.serving.http.rsgi import RsgiApplication
from esteira.serving.http.site import Site
from esteira.serving.lanes import Lanes
from esteira.serving.live.agreement import Agreement
from esteira.serving.live.arms import load_arm
from esteira.serving.live.loads import Loads
from esteira.serving.live.memory import MIB
from esteira.serving.live.routes import LiveLimits, LiveRoutes
from esteira.serving.mirroring.keeper import Keeper
from esteira.serving.mirroring.mirror import Mirror
from esteira.serving.pushes import Pushes, PushTables
from esteira.serving.routes import RouteStore
from esteira.serving.runtimes.permission import Permission, permit
from esteira.serving.telemetry import open_exporter, open_observers
from esteira.serving.telemetry.metrics import Metrics
from esteira.serving.telemetry.resources import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from esteira.base.ports import Clock
    from esteira.base.settings import Settings
    from esteira.registry.signature import ViewRef
    from esteira.serving.deployments import Deployments
    from esteira.serving.live.arms import Bundles, LoadedArm, Readers
    from esteira.serving.routes import Arm
    from esteira.serving.telemetry.exporter import Exporter
    from esteira.serving.telemetry.port import Observer
    from esteira.serving.telemetry.resources import Log

log = logging.getLogger(__name__)

SWITCH_S = 0.0005  # a thread that loads a model gives way to requests ten times as soon as by default
START_S = 10.0  # that a start waits for models; those that take longer come while the others serve
GRACE_S = 30.0  # beyond a load, for the process of the shadows to say something before it is held to hang
FAILURES_MS = 250  # failures are few, and nobody joins them with what comes within the second
YOUNG_OBJECTS = 20_000  # between two garbage collections: a request leaves none, so they find little


def open_worker(root: str, shared: str, parent: str, audit: str = "") -> RsgiApplication:
    """The application of one worker process.

    `shared` is the folder where workers count; when the process `parent` is gone, the worker ends too.
    Raises: SystemExit when a store cannot be opened; the log says which.
    """
    settings = load_settings(Path(root))
    configure_logs(settings.log_level)
    try:
        observers = open_observers(settings.telemetry, settings.home / "access", f"w{os.getpid()}")
        gateway = open_gateway(settings, Path(shared), int(parent), audit, observers)
        exporter = open_exporter(settings, gateway.metrics, gateway.clock, Path(shared), observers)
        keys, guard = open_guard(settings, gateway)
    except EsteiraError as refused:
        log.error("the gateway cannot start: %s", refused)
        sys.exit(1)
    favour_requests()
    site = Site(gateway, guard, max_body_bytes=settings.gateway.max_body_bytes, observers=observers)
    closing = partial(_close, gateway, keys, observers, exporter)
    deadline_s = settings.gateway.deadline_ms / 1000
    return RsgiApplication(site, open_lanes(settings, gateway.metrics), closing, deadline_s=deadline_s)


def _close(gateway: Gateway, keys: KeyRing, observers: Sequence[Observer], exporter: Exporter | None) -> None:
    gateway.close()  # what was answered comes first: the others may wait for somebody else
    keys.close()
    for observer in observers:
        observer.close()
    if exporter is not None:
        exporter.close()


def open_lanes(settings: Settings, metrics: Metrics) -> Lanes:
    """The lanes of one worker: as many calls at once as its share of the cores."""
    parallel = max((os.cpu_count() or 1) // settings.gateway.workers, 1)
    threads = ThreadPoolExecutor(parallel, "model")
    return Lanes(threads, metrics, parallel=parallel, most_waiting=settings.gateway.max_waiting)


def open_guard(settings: Settings, gateway: Gateway) -> tuple[KeyRing, Guard]:
    """Who may ask, followed until the ring is closed.

    Raises: StorageUnwritable, CorruptArtifact, UnknownName.
    """
    mode, keys = access_mode(settings.gateway), KeyRing(KeyStore(settings.store("state")), gateway.clock)
    keys.follow()
    keys.watch()
    return keys, Guard(keys, mode, gateway.default)


def favour_requests() -> None:
    """Keep the interpreter's own work away from the requests."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: no collection need look at it
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


def open_gateway(
    settings: Settings,
    shared: Path | None = None,
    parent: int | None = None,
    audit: str = "",
    observers: Sequence[Observer] = (),
) -> Gateway:
    """A gateway on the project's stores, with its routes loaded and followed.

    Raises: StorageUnwritable, CorruptArtifact, UnknownScheme, MissingExtra.
    """
    permit(Permission(settings.gateway.allow_pyfunc, settings.gateway.pyfunc_seconds))
    worker, flush_ms, logs = f"w{os.getpid()}", settings.gateway.flush_ms, settings.store("predictions")
    metrics, clock = Metrics(shared, worker), open_clock(settings.clock_url())
    online = cache(partial(open_store, settings.store("online"), readonly=True))

    def reader(views: tuple[ViewRef, ...]) -> OnlineReader:
        return OnlineReader(online(), views)

    bundles = ArtifactStore(settings.store("artifacts")).folder
    live = open_live(settings, bundles, reader, metrics, shared)
    predictions, labels = PredictionLog(logs, worker, flush_ms), LabelLog(logs, worker, flush_ms)
    failures, keeper = FailureLog(logs, worker, max(flush_ms, FAILURES_MS)), open_keeper(settings, metrics)
    pushes = Pushes(PushTables(settings.store("state")), PushLog(logs, worker))
    gateway = Gateway(
        live,
        predictions,
        labels,
        clock,
        metrics,
        features=FeatureReads(online, clock),
        pushes=pushes,
        default_model=settings.project.name,
        deployments=_deployments(settings, clock, partial(load_arm, bundles=bundles, readers=reader), audit),
        failures=failures,
        shadows=keeper,
    )
    live.refresh(START_S)
    pushes.follow()
    keeper.tick(live.models)  # what is answered from the first request on is mirrored
    kept: Mapping[str, Log] = {"predictions": predictions, "labels": labels}
    measure = partial(Meter(metrics, observers).tick, kept)
    live.watch(partial(_tick, gateway, measure, keeper, parent))
    return gateway


def _tick(gateway: Gateway, measure: Callable[[], None], keeper: Keeper, parent: int | None) -> None:
    """What a worker does fifty times a second, beside its requests."""
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)  # end as if the parent had said so
    measure()
    keeper.tick(gateway.live.models)
    gateway.pushes.follow()


def open_keeper(settings: Settings, metrics: Metrics) -> Keeper:
    """What mirrors answered requests to shadows; there is no process for it until a model has one."""
    hung_s = settings.gateway.load_seconds + GRACE_S
    return Keeper(Mirror(metrics), [str(settings.root), str(os.getpid()), str(hung_s)], hung_s + GRACE_S)


def open_live(
    settings: Settings, bundles: Bundles, reader: Readers, metrics: Metrics, shared: Path | None
) -> LiveRoutes:
    """The models of one worker, as all who share its folder agree. Raises: StorageUnwritable."""
    gateway = settings.gateway
    memory = gateway.memory_mb * MIB // max(gateway.workers, 1)
    agreement = None if shared is None else Agreement(shared, f"w{os.getpid()}")
    limits = LiveLimits(memory, gateway.load_seconds)
    live = LiveRoutes(RouteStore(settings.store("state")), bundles, reader, metrics, limits, agreement)
    live.draining = Draining(shared)
    return live


def _deployments(
    settings: Settings, clock: Clock, load: Callable[[Arm], LoadedArm], audit: str
) -> Deployments:
    trails = audit_trails(audit, settings.store("audit"), clock)
    trials = Loads(load, settings.gateway.load_seconds)
    return open_deployments(settings.store("state"), clock, trials.load, trails)
