"""What the gRPC process opens: the same core as an HTTP worker, and the same guard before it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from esteira.serving.rpc.calls import Calls
from esteira.serving.rpc.service import InferenceService
from esteira.serving.telemetry import open_observers
from esteira.serving.worker import favour_requests, open_gateway, open_guard, open_lanes

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings


def open_calls(settings: Settings, counted: Path | None = None, audit: str = "") -> Calls:
    """What answers calls, with its routes loaded and followed; it counts in the folder `counted`.

    Raises: StorageUnwritable, CorruptArtifact, UnknownScheme, UnknownName, MissingExtra, BadInput.
    """
    # Traces leave with the metrics, which the HTTP gateway pushes; the access log is each process's own.
    told = replace(settings.telemetry, traces=0.0)
    observers = open_observers(told, settings.home / "access", f"w{os.getpid()}")
    gateway = open_gateway(settings, counted, audit=audit, observers=observers)
    keys, guard = open_guard(settings, gateway)
    service = InferenceService(gateway, guard)
    favour_requests()
    lanes, deadline_s = open_lanes(settings, gateway.metrics), settings.gateway.deadline_ms / 1000
    return Calls(service, lanes, deadline_s=deadline_s, observers=observers, closing=keys.close)
