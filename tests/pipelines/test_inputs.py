"""Inputs have a pinned identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import NotFound
from esteira.pipelines.inputs import InputFailed, Pinned
from esteira.pipelines.step import step

if TYPE_CHECKING:
    from tests.pipelines.conftest import Place


@step
def doubled(number: int) -> int:
    return number * 2


def test_an_input_is_loaded_only_when_a_step_runs_with_it(place: Place) -> None:
    loaded = []

    def load() -> int:
        loaded.append(1)
        return 21

    given = {"number": Pinned("number@1", load)}
    assert place.run([doubled], given).value("doubled") == 42
    assert place.run([doubled], given).steps["doubled"].cached
    assert len(loaded) == 1


def test_another_identity_is_another_key_even_for_the_same_value(place: Place) -> None:
    place.run([doubled], {"number": Pinned("number@1", lambda: 21)})
    again = place.run([doubled], {"number": Pinned("number@2", lambda: 21)})
    assert place.reasons(again) == {"doubled": "ran: input number changed"}
    assert again.run.inputs == {"number": "number@2"}


def test_an_input_that_raises_is_named(place: Place) -> None:
    def broken() -> int:
        raise OSError("no such disk")

    with pytest.raises(
        InputFailed, match=r"input 'number' \(number@1\) cannot be loaded: OSError: no such disk"
    ):
        place.run([doubled], {"number": Pinned("number@1", broken)})
    assert place.journal.runs()[0].status == "failed"


def test_an_error_of_ours_from_an_input_passes_as_it_is(place: Place) -> None:
    def missing() -> int:
        raise NotFound("table", "flights")

    with pytest.raises(NotFound):
        place.run([doubled], {"number": Pinned("number@1", missing)})
