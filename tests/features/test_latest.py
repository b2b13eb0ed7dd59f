"""The latest row of each key in a batch."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.oracle import KEYS, micros, rows_of, view_of

from esteira.features.latest import WrongFeature, latest_rows
from esteira.features.views import BoundView, FeatureView

cells = st.tuples(
    st.sampled_from(KEYS), st.integers(0, 4), st.none() | st.integers(0, 4), st.none() | st.floats(-9, 9)
)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(cells, max_size=20), has_created=st.booleans())
def test_the_greatest_event_creation_and_sequence_of_each_key_stays(
    rows: list[Any], *, has_created: bool
) -> None:
    expected: dict[Any, Any] = {}
    for sequence, (key, event, created, value) in enumerate(rows):
        if None in key or (has_created and created is None):
            continue
        version = (event, created if has_created else event, sequence)
        expected[key] = max(expected.get(key, (version, value)), (version, value), key=lambda each: each[0])
    latest = latest_rows(BoundView(view_of(created=has_created), rows_of(rows)))
    versions = zip(latest.event.tolist(), latest.created.tolist(), latest.sequence.tolist(), strict=True)
    cells = zip(latest.numbers.tolist(), latest.present.tolist(), strict=True)
    values = [v if p else None for (v,), (p,) in cells]
    assert dict(zip(latest.keys, zip(versions, values, strict=True), strict=True)) == expected


def latest_value(column: pa.Array) -> Any:
    rows = pa.table({"event_ts": micros([1] * len(column)), "f": column})
    latest = latest_rows(BoundView(FeatureView("v", (), ("f",), "t"), rows))
    return latest.numbers[0, 0] if latest.present[0, 0] else None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array([2**53]), 2.0**53),
        (pa.array([True]), 1.0),
        (pa.array([0.1], pa.float32()), 0.10000000149011612),
        (pa.array([float("inf")]), float("inf")),
        (pa.array([1.0, None]), None),
        (pa.nulls(2), None),
    ],
)
def test_numbers_and_flags_become_float64_as_they_are(column: pa.Array, value: float | None) -> None:
    assert latest_value(column) == value


@pytest.mark.parametrize(
    "column", [pa.array([b"1"]), pa.array([2**53 + 1]), pa.array([Decimal(1)]), micros([1])]
)
def test_what_float64_cannot_hold_is_refused(column: pa.Array) -> None:
    with pytest.raises(WrongFeature, match="feature 'f' of view 'v'"):
        latest_value(column)


def test_texts_stand_apart_from_numbers_and_each_feature_has_its_kind() -> None:
    rows = pa.table(
        {
            "event_ts": micros([1, 2]),
            "k": ["x", "y"],
            "note": pa.array(["é", None], pa.large_string()),
            "n": [1, None],
            "city": pa.array(["a", "b"]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )
    latest = latest_rows(BoundView(FeatureView("v", ("k",), ("note", "n", "city", "nothing"), "t"), rows))
    assert latest.kinds == ("text", "number", "text", "unknown")
    assert latest.texts == [["é", None], ["a", "b"]]
    assert latest.numbers.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert latest.present.tolist() == [[True, True, True, False], [False, False, True, False]]
