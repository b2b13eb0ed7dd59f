"""What a worker's process takes of the machine."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.serving.telemetry.metrics import Metrics
    from esteira.serving.telemetry.port import Observer

EVERY_S = 1.0
_STATM = Path("/proc/self/statm")  # Linux; its second number is the resident pages


class Log(Protocol):
    """Keeps records until they are on disk."""

    @property
    def queued(self) -> int: ...
    @property
    def dropped(self) -> int: ...


class Meter:
    """Measures this process into its worker's gauges."""

    def __init__(self, metrics: Metrics, observers: Sequence[Observer] = ()) -> None:
        self._metrics, self._observers = metrics, observers
        self._due = 0.0
        metrics.build_info.set((release(), python_version()), 1)

    def tick(self, logs: Mapping[str, Log] | None = None) -> None:
        """Measure, if that is due; `logs` by name: predictions and labels."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY_S
        metrics, worker = self._metrics, self._metrics.worker
        for name, each in (logs or {}).items():
            metrics.log_queue.set((name,), each.queued)
            dropped = metrics.predictions_dropped if name == "predictions" else metrics.labels_dropped
            dropped.set((), each.dropped)
        metrics.worker_cpu_seconds.set((worker,), time.process_time())
        metrics.worker_memory.set((worker,), resident_bytes())
        for device, taken in gpu_bytes().items():
            metrics.gpu_memory.set((worker, device), taken)
        for observer in self._observers:
            metrics.observer_dropped.set((observer.name,), observer.dropped)


def release() -> str:
    """The version of esteira that runs. A room may not import the face, which is in memory anyway."""
    return str(sys.modules["esteira"].__version__)


def resident_bytes() -> int:
    """Memory that this process holds; where the system does not say, the most that it ever held."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def gpu_bytes() -> dict[str, int]:
    """GPU memory that this process takes, by device; empty where no model has loaded torch, or no GPU is."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)  # half a module while another thread imports it
    is_available = getattr(cuda, "is_available", None)
    if cuda is None or is_available is None or not is_available():
        return {}
    return {f"cuda:{at}": int(cuda.memory_reserved(at)) for at in range(cuda.device_count())}
