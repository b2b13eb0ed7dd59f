from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.access.roles import (
    ANYBODY,
    DEFAULT_MODEL,
    EVERY_MODEL,
    NO_MODEL,
    PREDICT,
    Caller,
)

NAMES = st.text(st.characters(blacklist_characters="/*?[]", blacklist_categories=("Cs",)), min_size=1)


def caller(*models: str) -> Caller:
    return Caller("shop", frozenset({PREDICT}), models)


@pytest.mark.parametrize(
    ("models", "model", "expected"),
    [
        ((), "late", True),
        (("late",), "late", True),
        (("late",), "Late", False),
        (("late",), "later", False),
        (("late",), "", False),
        (("early", "late"), "late", True),
        (("l*",), "late", True),
        (("l*",), "early", False),
        (("l?te",), "late", True),
        (("*",), "anything", True),
        (("a.b",), "axb", False),
        (("late",), "late\nx", False),
    ],
)
def test_a_caller_may_ask_the_models_that_its_patterns_name(
    models: tuple[str, ...], model: str, *, expected: bool
) -> None:
    assert caller(*models).may_ask(model) is expected


@pytest.mark.parametrize("models", [("late",), ("l*",), ("??????",), ("?every",), ("[!a]every",)])
def test_what_tells_of_every_model_is_only_for_those_who_may_ask_every_one(models: tuple[str, ...]) -> None:
    assert caller(*models).is_bounded
    assert not caller(*models).may_ask(EVERY_MODEL)
    assert not caller(*models).may_ask(DEFAULT_MODEL)
    assert caller(*models).may_ask(NO_MODEL)


@pytest.mark.parametrize("everybody", [ANYBODY, caller(), caller("late", "*")])
def test_without_a_bound_everything_may_be_asked(everybody: Caller) -> None:
    assert not everybody.is_bounded
    assert all(everybody.may_ask(model) for model in (EVERY_MODEL, DEFAULT_MODEL, NO_MODEL, "late"))


@given(NAMES, NAMES)
def test_a_plain_name_is_for_that_model_alone(name: str, other: str) -> None:
    assert caller(name).may_ask(name)
    assert caller(name).may_ask(other) is (name == other)
