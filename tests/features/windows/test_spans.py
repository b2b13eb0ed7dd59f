"""What holds in a row follows from the spans that cover it, and from nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.features.windows.spans import Spans

ROWS = 40
LEAST = -(2**63)
covers = st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)).map(sorted)
events = st.lists(st.tuples(covers, st.integers(0, 4) | st.sampled_from([LEAST, 2**63 - 1])), max_size=15)


def spans_of(cells: list[tuple[list[int], int]]) -> Spans:
    starts, ends = (np.array([cover[at] for cover, _ in cells], np.int64) for at in range(2))
    return Spans(starts, ends, ROWS)


def covering(cells: list[tuple[list[int], int]], row: int) -> list[int]:
    return [number for (start, end), number in cells if start <= row < end]


@settings(max_examples=200, deadline=None)
@given(events)
def test_the_greatest_of_each_row_is_that_of_the_spans_that_cover_it(
    cells: list[tuple[list[int], int]],
) -> None:
    found = spans_of(cells).greatest(np.array([number for _, number in cells], np.int64))
    assert found.to_pylist() == [max(covering(cells, row), default=None) for row in range(ROWS)]


@settings(max_examples=200, deadline=None)
@given(events)
def test_overlapping_and_touching_spans_of_one_code_count_once(cells: list[tuple[list[int], int]]) -> None:
    cells = [(cover, number % 3) for cover, number in cells]
    found = spans_of(cells).distinct(np.array([number for _, number in cells], np.int64))
    assert found.tolist() == [len({*covering(cells, row)}) for row in range(ROWS)]


def test_a_part_of_the_spans_keeps_the_rows() -> None:
    part = spans_of([([0, 9], 1), ([3, 5], 2)]).part(np.array([1]))
    assert (part.starts.tolist(), part.ends.tolist(), part.rows) == ([3], [5], ROWS)
