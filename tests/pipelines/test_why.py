"""Why a step ran, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira.base.errors import NotFound
from esteira.pipelines.graph import UnknownStep
from esteira.pipelines.step import step
from esteira.pipelines.why import changes, why

if TYPE_CHECKING:
    from tests.pipelines.conftest import Place

BEFORE: dict[str, Any] = {
    "code": {"m.f": "1", "m.g": "1"},
    "parameters": {"seed": 7},
    "inputs": {"flights": "flights@3"},
    "versions": {"numpy": "2.0"},
    "python": "3.11",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "ran: its stored result is gone"),
        ({"code": {"m.f": "2", "m.g": "1"}}, "ran: code changed: m.f"),
        ({"code": {"m.f": "1"}}, "ran: code changed: m.g"),
        ({"code": {"m.f": "2", "m.f#2": "1", "m.g": "2"}}, "ran: code changed: m.f, m.g"),
        ({"code": dict.fromkeys("abcde", "2")}, "ran: code changed: a, b, c and 4 more"),
        ({"parameters": {"seed": 8}}, "ran: parameter seed changed"),
        ({"parameters": {"seed": 7.0}}, "ran: parameter seed changed"),
        ({"inputs": {"flights": "flights@4"}}, "ran: input flights changed"),
        ({"inputs": {"flights": "flights@3", "weather": "w@1"}}, "ran: input weather changed"),
        ({"versions": {"numpy": "2.1", "pyarrow": "9"}},
         "ran: numpy changed from 2.0 to 2.1; pyarrow changed from none to 9"),
        ({"python": "3.12"}, "ran: Python changed from 3.11 to 3.12"),
        ({"parameters": {}, "inputs": {}}, "ran: parameter seed changed; input flights changed"),
    ],
)  # fmt: skip
def test_the_difference_between_two_keys_is_said(change: dict[str, Any], said: str) -> None:
    assert changes(BEFORE, BEFORE | change) == said


def test_a_run_can_be_asked_about_each_step(place: Place) -> None:
    @step
    def model() -> int:
        return 1

    first, second = place.run([model]).run, place.run([model]).run
    assert why(place.journal, first.id, "model") == "ran: first time"
    assert why(place.journal, second.id, "model") == "hit"
    with pytest.raises(UnknownStep, match="did you mean 'model'"):
        why(place.journal, first.id, "modle")
    with pytest.raises(NotFound):
        why(place.journal, "nope", "model")
