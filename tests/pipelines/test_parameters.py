"""Parameters of a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest

from esteira.base.errors import BadInput, NaiveTime
from esteira.pipelines.parameters import WrongParameter, fitted, named, plain
from esteira.pipelines.step import step


class Season(Enum):
    WINTER = "winter"


@step
def trained(
    until: datetime,
    months: tuple[int, ...] = (1, 2),
    season: Season = Season.WINTER,
    window: timedelta = timedelta(days=7),
    rate: float = 0.1,
    free=None,  # noqa: ANN001 - anything goes
) -> int:
    return 1


NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("until", NOON),
        ("months", (3, 4)),
        ("season", Season.WINTER),
        ("window", timedelta(hours=36)),
        ("rate", 1),
        ("rate", 0.25),
        ("free", {"a": [1, None, "x"]}),
    ],
)
def test_a_parameter_comes_back_from_the_json_that_the_journal_keeps(name: str, value: object) -> None:
    kept = plain("trained", name, value)
    assert fitted(trained, name, kept) == value
    assert named("trained", name, fitted(trained, name, kept)) == named("trained", name, value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("until", "yesterday", "must be datetime, found 'yesterday'"),
        ("months", [1, "two"], "must be tuple"),
        ("months", 3, "must be tuple"),
        ("season", "spring", "must be Season"),
        ("rate", True, "must be float, found True"),
        ("rate", "0.1", "must be float"),
    ],
)
def test_a_wrong_value_names_step_parameter_and_type(name: str, value: object, said: str) -> None:
    with pytest.raises(WrongParameter, match=f"parameter '{name}' of step 'trained'.*{said}"):
        fitted(trained, name, value)


@pytest.mark.parametrize("value", [object(), {1, object()}, float("nan"), len])
def test_an_unhashable_parameter_is_bad_input(value: Any) -> None:
    with pytest.raises(BadInput, match="parameter 'free' of step 'trained'"):
        named("trained", "free", value)


def test_a_default_is_taken_as_it_is() -> None:
    @step
    def lax(seed: int = None) -> int:  # noqa: RUF013 - sloppy, and common
        return seed or 0

    assert fitted(lax, "seed", None) is None


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(NaiveTime):
        named("trained", "until", datetime(2013, 1, 1))  # noqa: DTZ001 - a time without a zone is what is tried


def test_what_json_cannot_keep_is_refused() -> None:
    with pytest.raises(WrongParameter, match="cannot be kept as JSON"):
        plain("trained", "free", 1 + 2j)
