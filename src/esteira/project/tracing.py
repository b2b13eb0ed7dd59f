"""Trace a prediction through this project's stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.governance.trace import Archives, trace
from esteira.project.release import load_model

if TYPE_CHECKING:
    from esteira.governance.trace import Trace
    from esteira.project.station import Station


def trace_prediction(station: Station, prediction_id: str) -> Trace:
    """From a prediction id back to its data and code. Raises: NotFound."""
    archives = Archives(station.tables, station.registry, station.journal, station.audit, station.routes)
    return trace(prediction_id, archives, lambda version: load_model(station, version))
