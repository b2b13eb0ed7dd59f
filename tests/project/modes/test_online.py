from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.project.modes.conftest import ROWS

from esteira.base.errors import BadInput
from esteira.project.modes import online

if TYPE_CHECKING:
    from esteira.project.modes.scratch import Scratch


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "name"), [(1, "online, 1 row a request"), (100, "online, 100 rows a request")]
)
def test_each_row_is_asked_once_and_its_score_is_kept(
    scratch: Scratch, right: list[float], rows: int, name: str
) -> None:
    found = online.measure(scratch, rows, 4)
    measured = found.measured
    assert found.scores.tolist() == right
    assert (measured.name, measured.rows) == (name, ROWS)
    assert measured.facts == {
        "concurrency": min(4, -(-ROWS // rows)),
        "rows_per_request": rows,
        "refused": {},
    }
    assert 0 < measured.p50_s <= measured.p99_s < measured.seconds
    assert measured.memory_bytes is None or measured.memory_bytes > 20_000_000


@pytest.mark.slow
def test_rows_that_the_gateway_refuses_are_said(scratch: Scratch) -> None:
    wrong = replace(scratch, rows=[{**row, "miles": None} for row in scratch.rows])
    with pytest.raises(BadInput, match="answered 400"):
        online.measure(wrong, 1, 4)
