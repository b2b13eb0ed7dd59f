"""One function for both: called with a row, applied to a table, kept by a signature, known to the cache."""

from __future__ import annotations

import importlib.util
import math
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import esteira
from esteira.features.point_in_time import ClashingNames
from esteira.features.transforms.on_demand import OnDemand, WrongTransform, on_demand
from esteira.features.transforms.subset import OutsideSubset
from esteira.pipelines.reach import Reach
from esteira.registry.columns import WrongInput
from esteira.registry.signature import infer_signature

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUSH_FROM, RUSH_TO = 960, 1140


@on_demand(inputs={"minute_of_day": float, "weather__visib": float, "carrier": str})
def rush(minute_of_day: float, weather__visib: float, carrier: str) -> dict[str, Any]:
    """How hard the hour is."""
    is_rush = RUSH_FROM <= minute_of_day < RUSH_TO
    return {
        "is_rush": is_rush,
        "poor_sight": weather__visib < 1.0 and carrier in ("AA", "UA"),
        "load": minute_of_day / (1 + weather__visib),
    }


TABLE = pa.table(
    {
        "minute_of_day": [1000, 100, None, 1000],
        "weather__visib": [0.5, math.nan, 10.0, -1.0],
        "carrier": ["UA", "UA", "B6", None],
        "late": [True, False, False, True],
    }
)
COLUMNS = ("rush__is_rush", "rush__poor_sight", "rush__load")


def test_a_transform_says_what_it_reads_and_makes() -> None:
    assert rush.name == "rush"
    assert rush.inputs == {"minute_of_day": float, "weather__visib": float, "carrier": str}
    assert rush.columns == COLUMNS
    assert rush.definition()["name"] == "rush"
    assert esteira.on_demand is on_demand


def test_it_is_called_with_one_row() -> None:
    expected = {"is_rush": 1.0, "poor_sight": 1.0, "load": 1000 / 1.5}
    assert rush(1000, 0.5, "UA") == expected
    assert rush(1000, carrier="UA", weather__visib=0.5) == expected
    assert rush(True, None, None) == {"is_rush": 0.0, "poor_sight": None, "load": None}  # noqa: FBT003 - the cell of a row, not a switch


def test_it_is_applied_to_a_table() -> None:
    found = rush.apply(TABLE)
    assert found.column_names == [*TABLE.column_names, *COLUMNS]
    assert found.select(COLUMNS).to_pydict() == {
        "rush__is_rush": [1.0, 0.0, None, 1.0],
        "rush__poor_sight": [1.0, None, 0.0, None],
        "rush__load": [1000 / 1.5, None, None, None],
    }
    assert {str(found.schema.field(name).type) for name in COLUMNS} == {"double"}


NUMBERS = (
    st.none() | st.floats() | st.integers(-(2**63), 2**63 - 1).map(float) | st.sampled_from([960.0, 1.0])
)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from([None, "AA", "B6", ""])), min_size=1, max_size=5)


@given(ROWS)
def test_a_call_and_a_table_are_equal(rows: list[tuple[Any, ...]]) -> None:
    names = [*rush.inputs]
    types = [pa.float64(), pa.float64(), pa.string()]
    columns = [pa.array(each, kind) for each, kind in zip(zip(*rows, strict=True), types, strict=True)]
    found = rush.apply(pa.table(columns, names)).select(COLUMNS).to_pylist()
    assert [[*row.values()] for row in found] == [[*rush(*row).values()] for row in rows]


def test_a_number_beyond_every_float_is_null() -> None:
    assert rush(10**400, 1.0, "UA")["is_rush"] is None


@pytest.mark.parametrize("given", [(1.0,), (1.0, 2.0, "UA", 3.0)])
def test_a_call_gives_each_input_once(given: tuple[Any, ...]) -> None:
    with pytest.raises(WrongTransform, match="give each input once: minute_of_day, weather__visib, carrier"):
        rush(*given)


def test_a_call_with_an_input_twice_or_of_another_type_is_refused() -> None:
    with pytest.raises(WrongTransform, match="give each input once"):
        rush(1.0, 2.0, minute_of_day=3.0)
    with pytest.raises(WrongInput, match="'carrier' must be a text, found 7"):
        rush(1.0, 2.0, 7)
    with pytest.raises(WrongInput, match="'minute_of_day' must be a number, found 'x'"):
        rush("x", 2.0, "UA")


def test_a_table_needs_the_inputs_and_none_of_the_outputs() -> None:
    with pytest.raises(WrongInput, match="'carrier' must be in the table"):
        rush.apply(TABLE.drop_columns(["carrier"]))
    with pytest.raises(WrongInput, match="'minute_of_day' must be numbers, found string"):
        rush.apply(TABLE.set_column(0, "minute_of_day", TABLE["carrier"]))
    with pytest.raises(ClashingNames, match="rush__load"):
        rush.apply(TABLE.append_column("rush__load", TABLE["late"]))


@pytest.mark.parametrize("name", ["a__b", "_a"])
def test_a_name_could_not_be_mistaken_in_a_column(name: str) -> None:
    def function(x: float) -> dict[str, float]:
        return {"x": x}

    function.__name__ = name
    with pytest.raises(WrongTransform, match="no double underscore"):
        on_demand(inputs={"x": float})(function)


def test_only_functions_with_declared_kinds_are_transforms() -> None:
    with pytest.raises(WrongTransform, match="input 'x' must be float or str, found <class 'int'>"):

        @on_demand(inputs={"x": int})
        def number(x: int) -> dict[str, int]:
            return {"x": x}

    with pytest.raises(WrongTransform, match="decorate a function"):
        on_demand(inputs={"x": float})(len)
    with pytest.raises(OutsideSubset, match="transform 'now', line"):

        @on_demand(inputs={"x": float})
        def now(x: float) -> dict[str, float]:
            return {"x": np.sin(x)}


def test_a_signature_takes_its_reference() -> None:
    signature = infer_signature(rush.apply(TABLE), "late", columns=COLUMNS[:1], on_demand=(rush.ref(),))
    assert signature.encode_row({"minute_of_day": 1000}) == [1.0]


PROJECT = """
from esteira import on_demand, step

LIMIT = {limit}

@on_demand(inputs={{"x": float}})
def far(x):
    {body}

@step
def rows(table):
    return far.apply(table)
"""


@pytest.fixture
def key(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """What the cache key of step `rows` holds when the project file says so."""

    places = count()

    def made(limit: int = 3, body: str = 'return {"far": x > LIMIT}') -> dict[str, str]:
        # Python takes a file of the same size and second for the one whose bytecode it has.
        path = tmp_path / str(next(places)) / "flights_project.py"
        path.parent.mkdir()
        path.write_text(PROJECT.format(limit=limit, body=body), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert isinstance(module.far, OnDemand)
        reach = Reach()
        reach.follow(module.rows.__wrapped__, own_defaults=True)
        return reach.parts

    return made


def test_the_cache_key_of_a_step_holds_the_transforms_that_it_uses(
    key: Callable[..., dict[str, str]],
) -> None:
    before = key()
    assert "flights_project.far" in before
    assert key(body='return {"far": x >= LIMIT}') != before
    assert key(limit=4) != before
    assert key(limit=3) == before


def test_what_changes_no_value_changes_no_cache_key(key: Callable[..., dict[str, str]]) -> None:
    assert key(body='is_far = LIMIT < x  # the same\n    return {"far": is_far}') == key()
