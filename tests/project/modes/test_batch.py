from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.project.modes.conftest import ROWS

from esteira.project.modes import batch
from esteira.project.modes.process import ModeFailed

if TYPE_CHECKING:
    from esteira.project.modes.scratch import Scratch


def test_the_rows_are_scored_in_a_process_of_their_own(scratch: Scratch, right: list[float]) -> None:
    found = batch.measure(scratch)
    assert found.scores.tolist() == right
    measured = found.measured
    assert (measured.name, measured.rows, measured.facts["chunks"]) == ("batch", ROWS, 1)
    assert 0 < measured.p50_s == measured.p99_s <= measured.seconds
    assert measured.seconds < measured.start_s  # it loads Python and its libraries first
    assert measured.memory_bytes is None or measured.memory_bytes > 20_000_000


def test_a_row_that_the_model_refuses_ends_it_with_the_reason(scratch: Scratch) -> None:
    rows = scratch.tables.read("bench_rows").slice(0, 3)
    places = [None, *rows["miles"].to_pylist()[1:]]
    broken = rows.set_column(
        rows.column_names.index("miles"), "miles", [type(rows["miles"].chunk(0)).from_pandas(places)]
    )
    scratch.tables.append("bench_rows", broken)
    with pytest.raises(ModeFailed, match=f"row {ROWS} of bench_rows@1: column 'miles'"):
        batch.measure(scratch)
