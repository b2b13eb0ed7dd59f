"""Features: what was known of whom and when, the same for training and for serving."""

from __future__ import annotations

from esteira.features.keys import WrongKey
from esteira.features.latest import WrongFeature
from esteira.features.materialize import Materialized, materialize
from esteira.features.online import OnlineReader
from esteira.features.point_in_time import ClashingNames, point_in_time_join
from esteira.features.stores import open_store
from esteira.features.stores.port import Layout, OnlineStore, StoredRow, ViewChanged
from esteira.features.times import NotATime, NullTime
from esteira.features.views import BoundView, FeatureView, WrongView
from esteira.features.windows import (
    Count,
    LateEvent,
    Mean,
    Measure,
    SlidingWindow,
    Sum,
    Totals,
    Window,
    WrongWindow,
    window_rows,
)

__all__ = [
    "BoundView",
    "ClashingNames",
    "Count",
    "FeatureView",
    "LateEvent",
    "Layout",
    "Materialized",
    "Mean",
    "Measure",
    "NotATime",
    "NullTime",
    "OnlineReader",
    "OnlineStore",
    "SlidingWindow",
    "StoredRow",
    "Sum",
    "Totals",
    "ViewChanged",
    "Window",
    "WrongFeature",
    "WrongKey",
    "WrongView",
    "WrongWindow",
    "materialize",
    "open_store",
    "point_in_time_join",
    "window_rows",
]
