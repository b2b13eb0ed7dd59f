"""Numpy as the join engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contracts.join_engine import JoinEngineContract

from esteira.features.engines import open_engine

if TYPE_CHECKING:
    from esteira.features.engines.port import JoinEngine


class TestNumpyEngine(JoinEngineContract):
    def open(self) -> JoinEngine:
        engine = open_engine("numpy:")
        assert type(engine).__name__ == "NumpyEngine"
        return engine
