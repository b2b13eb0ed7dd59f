"""When rows are available, and which is the newer truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.oracle import rows_of, view_of

from esteira.features.moments import NEVER, read_moments
from esteira.features.views import BoundView

X = ("x", "y")
times = st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(0, 4)), max_size=12)


@settings(max_examples=100, deadline=None)
@given(pairs=times, is_reversed=st.booleans())
def test_the_order_is_by_event_then_creation_then_sequence(pairs: list[Any], *, is_reversed: bool) -> None:
    rows = rows_of([(X, event, created, None) for event, created in pairs])
    sequence = list(range(len(pairs)))[:: -1 if is_reversed else 1]
    if is_reversed:
        rows = rows.append_column("_seq", pa.array(sequence, pa.int64()))
    moments = read_moments(BoundView(view_of(), rows))
    ranks = [(e, NEVER if c is None else c, s) for (e, c), s in zip(pairs, sequence, strict=True)]
    assert [ranks[at] for at in moments.order] == sorted(ranks)
    assert moments.known.tolist() == [created is not None for _, created in pairs]


def test_a_row_is_available_when_it_has_happened_and_is_known() -> None:
    rows = rows_of([(X, 5, 7, None), (X, 5, 3, None)])
    assert read_moments(BoundView(view_of(), rows)).available.tolist() == [7, 5]
    assert read_moments(BoundView(view_of(), rows), as_known=False).available.tolist() == [5, 5]


def test_without_created_time_a_row_is_known_when_it_happens() -> None:
    view = replace(view_of(), created_time=None)
    moments = read_moments(BoundView(view, rows_of([(X, 5, None, None)])))
    assert (moments.created.tolist(), moments.known.tolist()) == ([5], [True])
