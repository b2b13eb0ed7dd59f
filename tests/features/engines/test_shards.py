"""Shards of keys in several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.contracts.join_engine import brute, table

from esteira.base.errors import BadInput, UnknownScheme
from esteira.features.engines import open_engine
from esteira.features.engines.shards import ShardedEngine, ShardFailed

if TYPE_CHECKING:
    from tests.contracts.join_engine import Pairs


def some_pairs(seed: int, count: int) -> Pairs:
    chance = np.random.default_rng(seed)
    return list(
        zip(chance.integers(0, 40, count).tolist(), chance.integers(0, 50, count).tolist(), strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("url", ["shards:1", "shards:3", "shards:2/duckdb", "shards:2/polars"])
def test_shards_answer_as_one_process_does(url: str) -> None:
    spine, rows = some_pairs(1, 400), some_pairs(2, 300)
    assert open_engine(url).last_available(table(spine, "at"), table(rows, "available")).to_pylist() == brute(
        spine, rows
    )


@pytest.mark.slow
def test_a_shard_without_questions_or_rows_answers_nothing() -> None:
    engine = ShardedEngine("shards:4")
    assert engine.last_available(table([(1, 5)], "at"), table([], "available")).to_pylist() == [None]
    assert engine.last_available(table([], "at"), table([(1, 5)], "available")).to_pylist() == []


@pytest.mark.slow
def test_a_shard_that_dies_is_one_clear_error() -> None:
    with pytest.raises(ShardFailed, match="abacus") as failed:
        ShardedEngine("shards:2/abacus").last_available(table([(1, 5)], "at"), table([(1, 5)], "available"))
    assert failed.value.shard == 0


@pytest.mark.parametrize("url", ["shards:", "shards:0", "shards:many", "shards:257", "shards:-1"])
def test_a_number_of_shards_is_needed(url: str) -> None:
    with pytest.raises(BadInput, match="1 to 256 shards"):
        ShardedEngine(url)


def test_the_engines_are_listed_when_one_is_unknown() -> None:
    with pytest.raises(UnknownScheme, match="duckdb, numpy, polars, shards"):
        open_engine("abacus:")
