"""Features: what was known of whom and when, the same for training and for serving."""

from __future__ import annotations

from esteira.features.contents import NoContent, TableContent, content_of
from esteira.features.keys import WrongKey
from esteira.features.latest import WrongFeature
from esteira.features.ledger import DefinitionChanged, FeatureLedger, FutureEnd
from esteira.features.manifest import Manifest, WrongManifest, read_manifest
from esteira.features.materialize import Materialized, SourceReplaced, materialize_view
from esteira.features.online import MissingKey, OnlineAnswer, OnlineReader
from esteira.features.point_in_time import ClashingNames, point_in_time_join
from esteira.features.proofs.futures import Questions, Source, World
from esteira.features.proofs.leaks import Leak, Searched, search_leaks
from esteira.features.proofs.verify import ViewVerified, verify_view
from esteira.features.push import Pushed, push
from esteira.features.stores import open_store
from esteira.features.stores.port import Layout, OnlineStore, StoredRow, ViewChanged
from esteira.features.times import NotATime, NullTime
from esteira.features.transforms.on_demand import OnDemand, WrongTransform, on_demand
from esteira.features.transforms.subset import OutsideSubset, coalesce, is_null
from esteira.features.views import BoundView, FeatureView, WrongView
from esteira.features.windows.columns import WrongWindow
from esteira.features.windows.measures import (
    Additive,
    Count,
    Distinct,
    Last,
    Max,
    Mean,
    Measure,
    Min,
    Spanning,
    Sum,
    Totals,
)
from esteira.features.windows.sliding import LateEvent, SlidingWindow, Window, window_rows
from esteira.features.windows.spans import Spans

__all__ = [
    "Additive",
    "BoundView",
    "ClashingNames",
    "Count",
    "DefinitionChanged",
    "Distinct",
    "FeatureLedger",
    "FeatureView",
    "FutureEnd",
    "Last",
    "LateEvent",
    "Layout",
    "Leak",
    "Manifest",
    "Materialized",
    "Max",
    "Mean",
    "Measure",
    "Min",
    "MissingKey",
    "NoContent",
    "NotATime",
    "NullTime",
    "OnDemand",
    "OnlineAnswer",
    "OnlineReader",
    "OnlineStore",
    "OutsideSubset",
    "Pushed",
    "Questions",
    "Searched",
    "SlidingWindow",
    "Source",
    "SourceReplaced",
    "Spanning",
    "Spans",
    "StoredRow",
    "Sum",
    "TableContent",
    "Totals",
    "ViewChanged",
    "ViewVerified",
    "Window",
    "World",
    "WrongFeature",
    "WrongKey",
    "WrongManifest",
    "WrongTransform",
    "WrongView",
    "WrongWindow",
    "coalesce",
    "content_of",
    "is_null",
    "materialize_view",
    "on_demand",
    "open_store",
    "point_in_time_join",
    "push",
    "read_manifest",
    "search_leaks",
    "verify_view",
    "window_rows",
]
