"""The assembly: one project is one line from data to a watched model in production."""

from __future__ import annotations

from esteira.project.definition import (
    Project,
    Rehearsal,
    TableSource,
    drift,
    performance,
)
from esteira.project.running import bound_views
from esteira.project.station import Station, open_station

__all__ = [
    "Project",
    "Rehearsal",
    "Station",
    "TableSource",
    "bound_views",
    "drift",
    "open_station",
    "performance",
]
