"""The fingerprint of code: a corpus of edits, each with what it must do to the key of the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira.pipelines.code import code_of, fingerprint, versions

if TYPE_CHECKING:
    from tests.pipelines.conftest import Files

MORE = """
RATE = 2
def scaled(x):
    return x * RATE
def apart(x):
    return x
"""
HELPERS = '''
"""Helpers."""
import enum, functools, re
from dataclasses import dataclass
from datetime import timedelta
import numpy as np
from @more@ import scaled

LIMIT = 3
NAMES = ("carrier", "origin")
TABLE = {"a": 1, "b": 2}
WINDOW = timedelta(days=7)
PATTERN = re.compile("^[A-Z]+$")
WEIGHTS = np.array([0.5, 0.25])
UNUSED = 1

class Kind(enum.Enum):
    LATE = 15
    EARLY = -15

@dataclass(frozen=True)
class Rule:
    above: int
    weight: float = 1.0
    def holds(self, x):
        return x > self.above

RULE = Rule(15)

class Base:
    def score(self, x):
        return x + 1

class Scorer(Base):
    bias = 2
    def final(self, x):
        return self.score(x) + self.bias

SCORER = Scorer()

def clean(x, low=0):
    """Say what it does."""
    return max(low, inner(x))

def inner(x):
    return x + LIMIT  # the limit

@functools.lru_cache
def cached(x):
    return x + 5

def plus(a, b):
    return a + b

plus_six = functools.partial(plus, 6)
HANDLERS = {"clean": clean, "cached": cached}
SEEN = {}

def loud(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + 7
    return wrapper

@loud
def decorated(x):
    return x + 8

def unused(x):
    return x
'''
STEPS = '''
from esteira import step
import @helpers@ as helpers
from @helpers@ import HANDLERS, NAMES, PATTERN, RULE, SCORER, SEEN, TABLE, WEIGHTS, WINDOW, Kind
from @helpers@ import cached, clean, decorated, plus_six, scaled

def factory(bonus):
    def scored(x):
        return x + bonus
    return scored

scored = factory(9)
double = lambda x: x * 2

@step(retries=1)
def model(rows, seed=7):
    """The model."""
    import @more@
    from @more@ import scaled as again
    total = clean(rows) + TABLE["a"] + len(NAMES) + cached(1) + plus_six(1)
    if RULE.holds(total) and PATTERN.match("A") and Kind.LATE.value > 1:
        total = decorated(SCORER.final(total)) + scored(1) + double(1)
    SEEN[total] = WINDOW
    return scaled(total) + HANDLERS["clean"](1) + WEIGHTS.sum() + again(1) + @more@.scaled(2) + seed
'''
FILES = {"steps": STEPS, "helpers": HELPERS, "more": MORE}

CHANGES = [
    ("steps", "clean(rows) +", "clean(rows) -"),  # the step itself
    ("steps", "total = clean", "sum_ = clean"),
    ("steps", "factory(9)", "factory(10)"),  # the value in a closure
    ("steps", "x + bonus", "x - bonus"),
    ("steps", "x * 2", "x * 3"),  # a lambda
    ("steps", '"A"', '"B"'),
    ("steps", "scored = factory(9)", "scored = factory(9)\nclean = scored"),  # a name bound anew
    ("helpers", "max(low", "min(low"),  # a helper
    ("helpers", "low=0", "low=1"),  # its default
    ("helpers", "x + LIMIT", "x - LIMIT"),  # the helper of a helper
    ("helpers", "LIMIT = 3", "LIMIT = 4"),  # constants
    ("helpers", "LIMIT = 3", "LIMIT = 3.0"),
    ("helpers", '"a": 1', '"a": 2'),
    ("helpers", '"a": 1, "b": 2', '"b": 2, "a": 1'),
    ("helpers", '"carrier", "origin"', '"origin", "carrier"'),
    ("helpers", "days=7", "days=8"),
    ("helpers", "^[A-Z]+$", "^[A-Z]*$"),
    ("helpers", "0.25", "0.75"),  # an array
    ("helpers", "LATE = 15", "LATE = 16"),  # an enum
    ("helpers", "Rule(15)", "Rule(16)"),  # an instance
    ("helpers", "weight: float = 1.0", "weight: float = 2.0"),  # a field
    ("helpers", "x > self.above", "x >= self.above"),  # a method
    ("helpers", "bias = 2", "bias = 3"),  # an attribute of a class
    ("helpers", "self.score(x) +", "self.score(x) -"),
    ("helpers", "return x + 1\n", "return x + 2\n"),  # a base class
    ("helpers", "return x + 5", "return x + 6"),  # behind functools.lru_cache
    ("helpers", "partial(plus, 6)", "partial(plus, 7)"),  # in a partial
    ("helpers", "return a + b", "return a - b"),
    ("helpers", '"cached": cached', '"cached": inner'),  # a table of functions
    ("helpers", "SEEN = {}", "SEEN = {1: 1}"),  # a container that the step changes
    ("helpers", "function(*args) + 7", "function(*args) + 6"),  # a decorator
    ("helpers", "return x + 8", "return x + 9"),  # what it decorates
    ("helpers", "@loud\ndef decorated", "def decorated"),
    ("helpers", "import scaled", "import apart as scaled"),  # another function under the same name
    ("more", "x * RATE", "x / RATE"),  # two files away, also imported inside the step
    ("more", "RATE = 2", "RATE = 3"),
]
KEEPS = [
    ("steps", '"""The model."""', '"""The best model."""'),
    ("steps", '    """The model."""\n', ""),
    ("steps", "def factory(bonus):", "# a comment\n\n\ndef factory(bonus):  # another"),
    ("steps", "clean(rows) + TABLE", "clean( rows ) + \\\n        TABLE"),
    ("steps", '"A"', "'A'"),
    ("steps", "@step(retries=1)", "@step"),
    ("steps", "seed=7", "seed=8"),  # a default of the step is a parameter: the key holds its value
    ("helpers", "# the limit", "# the upper limit"),
    ("helpers", '"""Helpers."""', ""),
    ("helpers", '"""Say what it does."""', '"""Say more."""'),
    ("helpers", "UNUSED = 1", "UNUSED = 2"),
    ("helpers", "def unused(x):\n    return x", "def unused(x):\n    return x + 100"),
    ("helpers", "LIMIT = 3", "LIMIT: int = 3"),
    ("helpers", "LIMIT = 3", "LIMIT = 1 + 2"),
    ("helpers", "def plus(a, b):\n    return a + b", "def plus(a, b): return (a + b)"),
    ("more", "def apart(x):\n    return x", "def apart(x):\n    return -x"),
]


def digest(files: Files, texts: dict[str, str]) -> str:
    files.write(**texts)
    return code_of(files.load("steps").model.function, own_defaults=False).digest


@pytest.mark.parametrize(("file", "old", "new"), CHANGES)
def test_an_edit_that_may_change_the_result_changes_the_fingerprint(
    files: Files, file: str, old: str, new: str
) -> None:
    assert old in FILES[file]
    before = digest(files, FILES)
    assert digest(files, FILES | {file: FILES[file].replace(old, new, 1)}) != before


@pytest.mark.parametrize(("file", "old", "new"), KEEPS)
def test_an_edit_that_cannot_change_the_result_keeps_the_fingerprint(
    files: Files, file: str, old: str, new: str
) -> None:
    assert old in FILES[file]
    before = digest(files, FILES)
    assert digest(files, FILES | {file: FILES[file].replace(old, new, 1)}) == before


def test_running_the_code_does_not_change_its_fingerprint(files: Files) -> None:
    files.write(**FILES)
    model = files.load("steps").model
    before = fingerprint(model.function)
    model(1)
    assert fingerprint(model.function) == before


def test_a_file_edited_under_a_running_process_does_not_lend_its_key_to_the_old_code(files: Files) -> None:
    files.write(**FILES)
    old = files.load("steps").model.function
    fingerprint(old)
    edited = FILES | {"steps": STEPS.replace("clean(rows) +", "clean(rows) -")}
    files.write(**edited)
    under = fingerprint(old)
    assert under != fingerprint(files.load("steps").model.function)


@pytest.mark.parametrize(
    ("old", "new"), [("bias = 2", "bias = 3"), ("x + 1\n", "x + 2\n"), ("LATE = 15", "LATE = 16")]
)
def test_a_class_edited_under_a_running_process_does_not_lend_its_key_either(
    files: Files, old: str, new: str
) -> None:
    files.write(**FILES)
    running = files.load("steps").model.function
    files.write(**FILES | {"helpers": HELPERS.replace(old, new)})
    under = fingerprint(running)
    assert under != fingerprint(files.load("steps").model.function)


def test_code_without_any_source_is_known_by_what_it_does() -> None:
    def made(number: int) -> str:
        scope: dict[str, Any] = {"__name__": "typed_at_a_prompt"}
        exec(f"class Rule:\n    above = {number}\n    def holds(self, x): return x > self.above\n", scope)
        exec("def model(x): return Rule().holds(x)", scope)
        return fingerprint(scope["model"])

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_the_fingerprint_of_a_plain_function_covers_its_defaults(files: Files) -> None:
    files.write(steps="def model(seed=7): return seed\n")
    before = fingerprint(files.load("steps").model)
    files.write(steps="def model(seed=8): return seed\n")
    assert fingerprint(files.load("steps").model) != before


def test_the_same_text_in_another_folder_has_the_same_fingerprint(files: Files) -> None:
    def scored(texts: dict[str, str]) -> str:
        return digest(files, texts)

    assert scored(FILES) == scored(FILES)


def test_versions_are_those_of_the_libraries_that_the_code_uses(files: Files) -> None:
    files.write(**FILES)
    assert set(versions(files.load("steps").model.function)) == {"numpy"}


def test_code_of_esteira_brings_the_versions_it_computes_with(files: Files) -> None:
    text = "from esteira.base.digest import digest_json\ndef model(): return digest_json({})\n"
    files.write(steps=text)
    assert {"esteira-ml", "pyarrow"} <= set(versions(files.load("steps").model))
