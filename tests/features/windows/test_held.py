"""Events are held until they have left, whatever their columns are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from esteira.base.errors import BadInput
from esteira.features.windows.agenda import Deltas
from esteira.features.windows.columns import WrongWindow
from esteira.features.windows.held import Held, HeldEvents
from esteira.features.windows.measures import Distinct, Last, Max

LATEST = {"last": Last("x")}


def read_all(held: HeldEvents, *columns: pa.Array) -> list[pa.DataType]:
    return [held.read(pa.table({"x": column}))[1]["x"].type for column in columns]


def test_a_column_without_values_takes_the_type_of_those_that_had_some() -> None:
    text, nothing = pa.array(["a"]), pa.nulls(1)
    wide = pa.array(["b"], pa.large_string())
    assert read_all(HeldEvents(LATEST), nothing, text, nothing, wide) == [pa.null(), *[pa.string()] * 3]


def test_a_column_whose_type_changes_is_refused() -> None:
    with pytest.raises(WrongWindow, match="column 'x' of the events is string and was int64 before; cast it"):
        read_all(HeldEvents(LATEST), pa.array([1]), pa.array(["1"]))


@pytest.mark.parametrize(
    ("measure", "column", "said"),
    [
        (Max("x"), pa.array(["a"]), "is string, of which there is no Max"),
        (Distinct("x"), pa.array([[1]]), "of which there is no Distinct"),
    ],
)
def test_what_a_measure_has_no_meaning_over_is_refused(measure: Any, column: pa.Array, said: str) -> None:
    with pytest.raises(WrongWindow, match=said):
        read_all(HeldEvents({"m": measure}), column)


def test_a_sequence_that_comes_and_goes_is_refused() -> None:
    held = HeldEvents(LATEST)
    held.read(pa.table({"x": [1]}))
    held.read(pa.table({"x": pa.array([], pa.int64()), "_seq": pa.array([], pa.int64())}))
    with pytest.raises(WrongWindow, match="'_seq' at some times only"):
        held.read(pa.table({"x": [1], "_seq": [1]}))


def test_a_sequence_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="must be int64 without nulls"):
        HeldEvents(LATEST).read(pa.table({"x": [1], "_seq": pa.array([None], pa.int64())}))


def put(held: HeldEvents, cells: list[tuple[int, int, str]]) -> None:
    """Hold events of one key from (enters, leaves, value)."""
    enters, leaves = (np.array([cell[at] for cell in cells], np.int64) for at in range(2))
    sequence, values = held.read(pa.table({"x": [value for *_, value in cells]}))
    held.put(Held(sequence * 0, enters, leaves, enters - 1, sequence, values))


def last_at(held: HeldEvents, *boundaries: int) -> list[str | None]:
    at = np.array(boundaries, np.int64)
    return held.close(Deltas(at * 0, at, at.reshape(-1, 1)), boundaries[-1])["last"].to_pylist()


def test_events_count_from_when_they_enter_until_they_leave_over_many_closes() -> None:
    held = HeldEvents(LATEST)
    put(held, [(10, 40, "first"), (30, 60, "later")])
    assert last_at(held, 10, 20) == ["first", "first"]
    put(held, [(30, 50, "last of its time"), (70, 90, "far")])
    assert last_at(held, 30, 40, 50, 60) == ["last of its time", "last of its time", "later", None]
    assert last_at(held, 70, 80, 90) == ["far", "far", None]


def test_what_has_left_takes_no_memory() -> None:
    held, before = HeldEvents(LATEST), pa.total_allocated_bytes()
    put(held, [(10, 20, "x" * 1_000_000)])
    assert pa.total_allocated_bytes() - before > 900_000
    assert last_at(held, 20) == [None]
    assert pa.total_allocated_bytes() - before < 100_000
