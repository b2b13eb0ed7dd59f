"""DuckDB as a join engine."""

from __future__ import annotations

import pytest
from tests.contracts.join_engine import JoinEngineContract, table

from esteira.base.errors import StorageUnwritable
from esteira.features.engines import open_engine
from esteira.features.engines.duckdb import DuckdbEngine


class TestDuckdbEngine(JoinEngineContract):
    def open(self) -> DuckdbEngine:
        engine = open_engine("duckdb:")
        assert isinstance(engine, DuckdbEngine)
        return engine


def test_what_does_not_fit_memory_and_cannot_spill_is_one_clear_error() -> None:
    engine = DuckdbEngine()
    connection = engine._connection()
    connection.execute("SET memory_limit = '2MB'; SET max_temp_directory_size = '0KB'")
    rows = [(n, n) for n in range(200_000)]
    with pytest.raises(StorageUnwritable):
        engine.last_available(table(rows, "at"), table(rows, "available"))
    connection.execute("SET memory_limit = '1GB'")
    assert engine.last_available(table([(1, 5)], "at"), table([(1, 5)], "available")).to_pylist() == [0]
