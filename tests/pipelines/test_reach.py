"""What code reaches, and what the pieces are called."""

from __future__ import annotations

import functools
import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from esteira.pipelines.reach import ClosedOver, Reach

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.pipelines.conftest import Files

HELPERS = """
LIMIT = 3
def clean(x): return inner(x) + LIMIT
def inner(x): return x
def unused(x): return x
"""


def parts(function: Callable[..., Any]) -> set[str]:
    reach = Reach()
    reach.follow(function, own_defaults=True)
    return set(reach.parts)


def test_every_piece_has_a_name_and_nothing_unused_is_reached(files: Files) -> None:
    files.write(helpers=HELPERS, steps="from @helpers@ import clean\ndef model(x): return clean(x)\n")
    steps, helpers = files.name("steps"), files.name("helpers")
    assert parts(files.load("steps").model) == {
        f"{steps}.model",
        f"{helpers}.clean",
        f"{helpers}.inner",
        f"{helpers}.LIMIT",
    }


def test_an_attribute_of_a_module_is_followed_without_the_module(files: Files) -> None:
    files.write(helpers=HELPERS, steps="import @helpers@ as h\ndef model(x): return h.inner(x)\n")
    assert parts(files.load("steps").model) == {
        f"{files.name('steps')}.model",
        f"{files.name('helpers')}.inner",
    }


def test_a_module_used_as_a_value_is_reached_whole(files: Files) -> None:
    files.write(helpers=HELPERS, steps="import @helpers@ as h\ndef model(x): return getattr(h, x)\n")
    found = parts(files.load("steps").model)
    assert files.name("helpers") in found
    assert f"{files.name('helpers')}.LIMIT" in found


def test_functions_that_call_each_other_are_reached_once(files: Files) -> None:
    files.write(steps="def even(x): return x == 0 or odd(x - 1)\ndef odd(x): return x != 0 and even(x - 1)\n")
    assert parts(files.load("steps").even) == {f"{files.name('steps')}.even", f"{files.name('steps')}.odd"}


def test_two_functions_of_one_name_are_two_pieces(files: Files) -> None:
    text = """
def loud(function):
    def wrapper(x): return function(x)
    return wrapper
@loud
def a(x): return 1
@loud
def b(x): return 2
def model(x): return a(x) + b(x)
"""
    files.write(steps=text)
    steps = files.name("steps")
    wrapper = f"{steps}.loud.<locals>.wrapper"
    found = parts(files.load("steps").model)
    assert {wrapper, f"{wrapper}#2", f"{steps}.a", f"{steps}.b"} <= found


def test_a_closure_over_something_without_content_is_refused() -> None:
    lock = threading.Lock()

    def model() -> bool:
        return lock.locked()

    with pytest.raises(ClosedOver, match=r"closes over 'lock', a lock.*input or a parameter"):
        parts(model)


def test_a_logger_at_the_top_of_a_file_is_known_by_the_line_that_makes_it(files: Files) -> None:
    files.write(steps="import logging\nlog = logging.getLogger('a')\ndef model(): log.info('x')\n")
    steps = files.name("steps")
    assert parts(files.load("steps").model) == {f"{steps}.model", f"{steps}.log"}


def test_a_partial_is_followed_with_its_values() -> None:
    def base(x: int, y: int) -> int:
        return x + y

    def digest(function: Callable[..., Any]) -> str:
        reach = Reach()
        reach.follow(function, own_defaults=True)
        return reach.parts["the step"]

    assert digest(functools.partial(base, y=1)) != digest(functools.partial(base, y=2))


def test_libraries_are_known_by_their_versions_alone() -> None:
    def model() -> float:
        logging.getLogger("x")
        return float(np.mean([1]))

    reach = Reach()
    reach.follow(model, own_defaults=True)
    assert reach.versions == {"numpy": np.__version__}
    assert len(reach.parts) == 1


def test_a_label_does_not_depend_on_where_the_folder_is(files: Files) -> None:
    files.write(steps="def model(): return 1\n")
    reach = Reach()
    reach.follow(files.load("steps").model, own_defaults=True)
    assert str(files.folder) not in repr(reach.parts)
