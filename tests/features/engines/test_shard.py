"""One shard's work, here in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contracts.join_engine import table

from esteira.features.engines.shard import ANSWERS, QUESTIONS, ROWS, join_shard, read_arrow, write_arrow

if TYPE_CHECKING:
    from pathlib import Path


def test_the_answers_stand_beside_the_questions(tmp_path: Path) -> None:
    write_arrow(table([(1, 5), (2, 5), (1, 0)], "at"), tmp_path / QUESTIONS)
    write_arrow(table([(1, 1), (1, 4)], "available"), tmp_path / ROWS)
    join_shard("numpy:", tmp_path)
    assert read_arrow(tmp_path / ANSWERS)["answer"].to_pylist() == [1, None, None]
