"""What the tests of telemetry share: an exchange, and a wait for what a thread does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from esteira.base.clock import parse_time, to_micros
from esteira.serving.telemetry.port import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = to_micros(parse_time("2013-07-01T12:00:00Z"))


def exchange(**changed: Any) -> Exchange:
    """An answered request."""
    values: dict[str, Any] = {
        "method": "POST",
        "route": "/v2/models/{model}/infer",
        "protocol": "oip",
        "status": 200,
        "started": NOON,
        "seconds": 0.0015,
        "model": "late",
        "version": "3",
        "arm": "champion",
        "predict_seconds": 0.0005,
        "bytes_in": 120,
        "bytes_out": 60,
        "rows": 1,
        "caller": "pricing",
    }
    return Exchange(**{**values, **changed})


def wait_for(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.005)
