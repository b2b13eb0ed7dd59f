"""Engines of the point-in-time join; nothing heavy loads until one is opened."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from esteira.features.engines.port import JoinEngine

_ENGINES = {
    "duckdb": "esteira.features.engines.duckdb:DuckdbEngine",
    "numpy": "esteira.features.engines.numpy:NumpyEngine",
    "polars": "esteira.features.engines.polars:PolarsEngine",
    "shards": "esteira.features.engines.shards:ShardedEngine",
}


@cache
def open_engine(url: str) -> JoinEngine:
    """The engine of that scheme, one for the whole process. Raises: UnknownScheme, MissingExtra, BadInput."""
    engine: JoinEngine = open_by_scheme(_ENGINES, url)
    return engine
