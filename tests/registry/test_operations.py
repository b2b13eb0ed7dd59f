"""Each operation twice: for one row and for columns."""

from __future__ import annotations

import itertools
import math
import random
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from esteira.registry.operations import NULL, OPERATIONS, Operation, WrongOperands

_DRAWN = random.Random(7)
NUMBERS = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, 7.3, -7.3, 0.1, 2.0**53, 709.9, NULL),
    *(1e308, -1e308, 5e-324, -5e-324, 1e-310, 2.0**-1022, 1e17),
    *(_DRAWN.uniform(-10, 10) for _ in range(40)),
    *(each for each in struct.unpack("80d", _DRAWN.randbytes(640)) if math.isfinite(each)),
]
CONDITIONS = [0.0, 1.0, NULL]
TEXTS = ["", "UA", "ÅÄ", "a\0b", None]
OPERANDS: dict[str, list[Any]] = {"number": NUMBERS, "condition": CONDITIONS, "text": TEXTS}


def operands(operation: Operation) -> list[tuple[Any, ...]]:
    """Every combination; of three operands the numbers are fewer."""
    few = {**OPERANDS, "number": NUMBERS[:20]}
    return list(
        itertools.product(*((few if len(operation.takes) > 2 else OPERANDS)[k] for k in operation.takes))
    )


def column(kind: str, values: tuple[Any, ...]) -> Any:
    return pa.array(values, pa.large_string()) if kind == "text" else np.array(values, dtype=np.float64)


def result(values: Any) -> Any:
    """What tells two results apart: the bits of numbers, the texts."""
    return values.to_pylist() if isinstance(values, pa.Array) else np.asarray(values).tobytes()


@pytest.mark.parametrize("op", [name for name, each in OPERATIONS.items() if not each.is_open])
@np.errstate(all="ignore")
def test_a_row_and_a_column_are_equal_to_the_bit(op: str) -> None:
    operation = OPERATIONS[op]
    given = operands(operation)
    rows = [operation.row(*each) for each in given]
    columns = [
        column(kind, values) for kind, values in zip(operation.takes, zip(*given, strict=True), strict=True)
    ]
    assert result(operation.column(*columns)) == result(
        column("text" if operation.gives == "text" else "number", tuple(rows))
    )


@pytest.mark.parametrize(("op", "values"), [("in", NUMBERS), ("text in", TEXTS)])
@pytest.mark.parametrize("count", [1, 3])
def test_membership_is_equal_in_rows_and_columns(op: str, values: list[Any], count: int) -> None:
    options = [each for each in values if each not in (None, NULL)][:count]
    kind = OPERATIONS[op].takes[0]
    known = [pa.scalar(each, pa.large_string()) for each in options] if kind == "text" else options
    rows = [OPERATIONS[op].row(each, *options) for each in values]
    assert result(OPERATIONS[op].column(column(kind, tuple(values)), *known)) == result(np.array(rows))
    assert rows.count(1.0) >= count


ESCAPES = {"is_null", "coalesce", "if", "and", "or", "text is_null", "text coalesce", "text if"}


@pytest.mark.parametrize("op", sorted(OPERATIONS.keys() - ESCAPES))
def test_a_null_operand_makes_the_result_null(op: str) -> None:
    takes = OPERATIONS[op].takes
    given: list[Any] = ["UA" if kind == "text" else 1.0 for kind in takes]
    for at, kind in enumerate(takes[:1] if OPERATIONS[op].is_open else takes):
        null = None if kind == "text" else NULL
        assert math.isnan(OPERATIONS[op].row(*given[:at], null, *given[at + 1 :]))


@pytest.mark.parametrize(
    ("op", "values"),
    [
        ("/", (1.0, 0.0)),
        ("//", (1.0, 0.0)),
        ("%", (1.0, 0.0)),
        ("*", (1e200, 1e200)),
        ("+", (1.7e308, 1.7e308)),
        ("**", (-1.0, 0.5)),
        ("**", (10.0, 400.0)),
        ("log", (0.0,)),
        ("log1p", (-1.0,)),
        ("exp", (1000.0,)),
        ("sqrt", (-1.0,)),
    ],
)
def test_a_result_that_is_not_finite_is_null(op: str, values: tuple[float, ...]) -> None:
    assert math.isnan(OPERATIONS[op].row(*values))


@pytest.mark.parametrize(
    ("op", "values", "expected"),
    [
        ("and", (0.0, NULL), 0.0),
        ("and", (NULL, 0.0), 0.0),
        ("and", (1.0, NULL), NULL),
        ("or", (NULL, 1.0), 1.0),
        ("or", (0.0, NULL), NULL),
        ("if", (NULL, 1.0, 2.0), 2.0),
        ("if", (1.0, 1.0, NULL), 1.0),
        ("coalesce", (NULL, 2.0), 2.0),
        ("is_null", (NULL,), 1.0),
        ("round", (2.5,), 2.0),
        ("floor", (-0.5,), -1.0),
        ("//", (-7.0, 2.0), -4.0),
        ("%", (-7.0, 2.0), 1.0),
    ],
)
def test_operations_mean_what_sql_and_python_mean(
    op: str, values: tuple[float, ...], expected: float
) -> None:
    assert OPERATIONS[op].row(*values) == pytest.approx(expected, nan_ok=True)


def test_a_condition_is_a_number_but_no_number_is_a_condition() -> None:
    assert OPERATIONS["+"].kind("+", ["condition", "number"]) == "number"
    with pytest.raises(WrongOperands, match="'not' takes a condition, found a number"):
        OPERATIONS["not"].kind("not", ["number"])


@pytest.mark.parametrize("found", [["text", "number"], ["number"], ["number"] * 3])
def test_operands_of_another_kind_or_count_are_refused(found: list[Any]) -> None:
    with pytest.raises(WrongOperands, match=r"'\+' takes a number and a number"):
        OPERATIONS["+"].kind("+", found)


def test_branches_give_what_their_values_are() -> None:
    assert OPERATIONS["if"].kind("if", ["condition", "condition", "condition"]) == "condition"
    assert OPERATIONS["if"].kind("if", ["condition", "condition", "number"]) == "number"
