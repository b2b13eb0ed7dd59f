"""Python in, an expression out; whatever cannot be translated is refused by line and name."""

from __future__ import annotations

import importlib.util
import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.features.transforms.subset import OutsideSubset, coalesce, is_null
from esteira.features.transforms.translation import translate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FunctionType

    from esteira.registry.expressions import Expression
    from esteira.registry.operations import Kind

INPUTS: dict[str, Kind] = {"x": "number", "y": "number", "s": "text"}
LIMIT, HOME, LARGE = 2.5, "JFK", ("JFK", "LGA")
SMALL = frozenset(("MVY", "ACK"))
MUTABLE = ["JFK"]
Load = "Callable[[str], FunctionType]"


def everything(x: float, y: float, s: str) -> dict[str, Any]:
    """All that may be written."""
    total: float = x + y * 2 - y / 3
    total += 1
    rest = x // 2 + x % 3 + (x / 50) ** 2
    if total > LIMIT and not x <= 0:
        size = 1
    elif s == HOME:
        size = 2
    else:
        size = 3
        pass
    is_far = x > y if s in LARGE else x >= y
    return {
        "total": total,
        "rest": rest,
        "size": -size,
        "far": is_far or s != HOME,
        "home": s in ("JFK", "EWR") and s not in SMALL,
        "chain": 0 <= x < y != 3,
        "least": min(x, y, 5) + max(x, y),
        "whole": floor(x) + ceil(y) + round(x) + abs(y),  # noqa: F821 - a word of the subset
        # Words of the subset, as above.
        "curve": sqrt(abs(x)) + log1p(abs(y)) + exp(-abs(x)) + sin(x) * cos(y) + log(abs(x) + 1),  # noqa: F821 - words of the subset
        "known": not is_null(x) and x is not None,
        "either": coalesce(y, x),
    }


WORDS = {name: getattr(math, name) for name in ("floor", "ceil", "sqrt", "log", "log1p", "exp", "sin", "cos")}
PLAIN = type(everything)(everything.__code__, {**globals(), **WORDS})
EVERYTHING = translate(everything, INPUTS)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from(["JFK", "EWR", "ACK", ""]))
def test_where_nothing_is_null_it_is_what_python_computes(x: float, y: float, s: str) -> None:
    expected = {name: float(value) for name, value in PLAIN(x, y, s).items()}
    assert dict(zip(expected, EVERYTHING.row([x, y, s]), strict=True)) == expected


def rows_of(expression: Expression, *row: Any) -> list[float | None]:
    return [None if math.isnan(value) else value for value in expression.row(row)]


def test_nulls_follow_sql() -> None:
    def nulls(x: float, y: float) -> dict[str, Any]:
        if x > 0:
            sign = 1
            x = x * 1
        else:
            sign = -1
        return {
            "sum": x + y,
            "sign": sign,
            "both": x > 0 and y > 0,
            "one": x > 0 or y > 0,
            "else": 1 if not x > 0 else 2,
            "given": x if x is not None else y,
            "nothing": None if y > 0 else x,
        }

    found = translate(nulls, {"x": "number", "y": "number"})
    assert rows_of(found, math.nan, 1.0) == [None, -1.0, None, 1.0, 2.0, 1.0, None]
    assert rows_of(found, math.nan, -1.0) == [None, -1.0, 0.0, None, 2.0, -1.0, None]
    assert rows_of(found, 3.0, math.nan) == [None, 1.0, None, 1.0, 2.0, 3.0, 3.0]


def test_a_constant_of_a_closure_counts_as_written() -> None:
    limit = 7

    def near(x: float) -> dict[str, bool]:
        return {"near": x < limit}

    assert translate(near, {"x": "number"}).row([6.0]) == [1.0]


_marks = itertools.count()


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], FunctionType]:
    """The function `f` of a text, as a module of its own would hold it."""

    def loaded(text: str) -> FunctionType:
        path = tmp_path / f"made_{next(_marks)}.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made: FunctionType = module.f
        return made

    return loaded


HEAD = "import math, time, random\nMUTABLE = ['JFK']\nHUGE = 10**400\nlog = min\ndef f(x, y, s):\n"


@pytest.mark.parametrize(
    ("line", "construct"),
    [
        ("for i in (1, 2): x = x + i", "a loop"),
        ("while x > 0: x = x - 1", "a loop"),
        ("x = [each for each in (1, 2)]", "a comprehension"),
        ("x = math.pi", "an attribute"),
        ("x = math.log(x)", "an attribute"),
        ("x = time.time()", "an attribute"),
        ("x = s[0]", "an index"),
        ("x = random", "a module"),
        ("x = len(s)", "a call of len"),
        ("x = log(x)", "a call of log, which is another function here"),
        ("abs = 1; x = abs(x)", "a call of abs, which is another function here"),
        ("x = print(x)", "a call of print"),
        ("x = min(x)", r"`min\(x\)` cannot be used; min takes two or more"),
        ("x = round(x, 2)", "round takes one value"),
        ("x = round(number=x)", "round takes one value"),
        ("x = min(*s, 1)", r"`\*s`"),
        ("s = f'{s}'", "a made text"),
        ("x = lambda: 1", "a function in a function"),
        ("import math", "an import"),
        ("x = (z := y)", "an assignment inside an expression"),
        ("global log", "`global log`"),
        ("x = unheard", "the unknown name 'unheard'"),
        ("x = late; late = 1", "'late' before it has a value"),
        ("x, y = y, x", "`x, y = "),
        ("x = x & 1", "`x & 1` cannot be used; bits"),
        ("x = ~x", "`~x`"),
        (
            "x = s + 1",
            r"`s \+ 1` cannot be used; '\+' takes a number and a number, found a text and a number",
        ),
        ("x = s < 'b'", "'<' takes a number"),
        ("x = s == 1", "found a text and a number"),
        ("x = 1 if x else 2", "found a number and a number and a number; make a condition"),
        ("x = not x", "'not' takes a condition, found a number"),
        ("x = x and y", "'and' takes a condition"),
        ("x = s if y > 0 else x", "'text if' takes a condition and a text and a text"),
        ("x = 1 if y > 0 else s", "found a condition and a number and a text"),
        ("x = x == None", "write is_null"),
        ("x = x is y", "`x is y`"),
        ("x = x in y", "`in y`"),
        ("x = s in MUTABLE", "`in MUTABLE` cannot be used; name a tuple"),
        ("x = s in ()", "give constants"),
        ("x = x in (y, 1)", "give constants"),
        ("x = MUTABLE", "a list cannot be used; use numbers"),
        ("x = b'1'", "a bytes"),
        ("x = 1j", "a complex"),
        ("x = HUGE", "the largest number is"),
        ("x = 1e999", "the largest number is"),
        ("if x > 0: return {'x': x}", "an early return"),
        ("assert x > 0", "`assert x > 0`"),
        ("yield x", r"`\(?yield x\)?`"),
    ],
)
def test_what_cannot_be_translated_is_named_with_its_line(
    load: Callable[[str], FunctionType], line: str, construct: str
) -> None:
    function = load(f"{HEAD}    x = x + 1\n    {line}\n    return {{'x': x}}\n")
    with pytest.raises(OutsideSubset, match=construct) as refused:
        translate(function, INPUTS)
    assert refused.value.line == 7


@pytest.mark.parametrize(
    ("end", "construct"),
    [
        ("x = x + 1", "an end without `return"),
        ("return x", "an end without `return"),
        ("return {}", "a dict without outputs"),
        ("return {s: x}", "an output without a fixed name"),
        ("return {**x}", "an output without a fixed name"),
        ("return {'': x}", "an output without a fixed name"),
        ("return {'a': x, 'a': y}", "the output 'a' twice"),
        ("return {'a': s}", "the text output 'a'"),
        ("'''Only said.'''", "an end without `return"),
    ],
)
def test_the_outputs_are_numbers_with_fixed_names(
    load: Callable[[str], FunctionType], end: str, construct: str
) -> None:
    with pytest.raises(OutsideSubset, match=construct) as refused:
        translate(load(f"{HEAD}    {end}\n"), INPUTS)
    assert refused.value.line == 6


@pytest.mark.parametrize(
    "given", ["x, y", "x, y, t", "x, y, s, *more", "x, y, s=1", "x, *, y=1, s", "x, y, s, **z"]
)
def test_the_parameters_are_the_inputs(load: Callable[[str], FunctionType], given: str) -> None:
    with pytest.raises(OutsideSubset, match=r"the parameters .* they must be the inputs.*: x, y, s"):
        translate(load(f"def f({given}):\n    return {{'x': x}}\n"), INPUTS)


def test_parameters_may_stand_in_any_order(load: Callable[[str], FunctionType]) -> None:
    found = translate(load("def f(y, *, s, x):\n    return {'x': x - y}\n"), INPUTS)
    assert found.row([5.0, 3.0, None]) == [2.0]


def test_a_value_of_one_branch_alone_is_none(load: Callable[[str], FunctionType]) -> None:
    text = "def f(x, y, s):\n    if x > 0:\n        z = 1\n    return {'z': z}\n"
    with pytest.raises(OutsideSubset, match="'z' before it has a value"):
        translate(load(text), INPUTS)


@pytest.mark.parametrize(
    "text", ["f = lambda x, y, s: {'x': x}\n", "async def f(x, y, s):\n    return {'x': x}\n"]
)
def test_only_a_plain_function_is_translated(load: Callable[[str], FunctionType], text: str) -> None:
    with pytest.raises(OutsideSubset):
        translate(load(text), INPUTS)


def test_a_function_without_its_source_is_refused(load: Callable[[str], FunctionType]) -> None:
    function = load(f"{HEAD}    return {{'x': x}}\n")
    made = type(function)(function.__code__.replace(co_filename="<typed>"), {})
    with pytest.raises(OutsideSubset, match="without its source cannot be used; define it in a file"):
        translate(made, INPUTS)
