"""What the gRPC process opens: the same core as an HTTP worker, and the same guard before it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from esteira.base.optional import load
from esteira.serving.rpc.calls import Calls
from esteira.serving.rpc.service import InferenceService
from esteira.serving.telemetry import open_observers
from esteira.serving.telemetry.exporter import Exporter
from esteira.serving.worker import favour_requests, open_gateway, open_guard, open_lanes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esteira.base.settings import Settings
    from esteira.serving.telemetry.metrics import Metrics
    from esteira.serving.telemetry.port import Observer


def open_calls(settings: Settings, counted: Path | None = None, audit: str = "") -> Calls:
    """What answers calls, with its routes loaded and followed; it counts in the folder `counted`.

    Raises: StorageUnwritable, CorruptArtifact, UnknownScheme, UnknownName, MissingExtra, BadInput.
    """
    observers = open_observers(settings.telemetry, settings.home / "access", f"w{os.getpid()}")
    gateway = open_gateway(settings, counted, audit=audit, observers=observers)
    exporter = _open_exporter(settings, gateway.metrics, observers)
    keys, guard = open_guard(settings, gateway)
    service = InferenceService(gateway, guard)
    favour_requests()

    def close() -> None:
        keys.close()
        if exporter is not None:
            exporter.close()

    lanes, deadline_s = open_lanes(settings, gateway.metrics), settings.gateway.deadline_ms / 1000
    return Calls(service, lanes, deadline_s=deadline_s, observers=observers, closing=close)


def _open_exporter(settings: Settings, metrics: Metrics, observers: Sequence[Observer]) -> Exporter | None:
    """What pushes the traces of this process; its counters are among the HTTP gateway's, which pushes them.

    Raises: BadInput, MissingExtra.
    """
    traced = [each for each in observers if each.name == "traces"]
    if not traced:
        return None
    here = replace(settings, gateway=replace(settings.gateway, port=settings.gateway.grpc_port))
    collector = load("esteira.serving.telemetry.opentelemetry:Collector")(here, metrics.worker)
    return Exporter([collector.traces(each) for each in traced], metrics)
