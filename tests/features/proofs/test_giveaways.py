from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from esteira.features.proofs.giveaways import find_giveaways

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 400


def target(seed: int = 1, share: float = 0.3) -> NDArray[np.int8]:
    return (np.random.default_rng(seed).random(ROWS) < share).astype(np.int8)


def found(values: object, late: NDArray[np.int8] | None = None) -> tuple[str, ...]:
    rows = pa.table({"late": target() if late is None else late, "column": values})
    return find_giveaways(rows, "late", ("column", "late"))


def noise(scale: float) -> NDArray[np.float64]:
    return np.random.default_rng(2).normal(scale=scale, size=ROWS)


@pytest.mark.parametrize(
    "values",
    [
        target(),
        1 - target(),
        np.where(target(), "late", "on time"),
        target().astype(bool),
        target() + noise(0.2),
        np.where(target(), None, 3.5),
        np.where(target(), noise(0.1), np.sign(noise(1)) * 5 + noise(0.1)),  # the answer in the middle
    ],
    ids=["copy", "opposite", "words", "flags", "noisy", "missing when late", "middle of a scale"],
)
def test_a_column_that_tells_the_answer_is_named(values: object) -> None:
    column = pa.array(values.tolist())  # every case is an array
    assert found(column) == ("column",)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(ROWS),
        np.array([f"id{at}" for at in range(ROWS)]),
        target() + noise(0.6),
        noise(1),
        np.where(np.random.default_rng(3).random(ROWS) < 0.05, 1 - target(), target()),
        np.zeros(ROWS),
        np.full(ROWS, np.nan),
    ],
    ids=["numbers of rows", "ids", "a strong feature", "noise", "95 % right", "constant", "missing"],
)
def test_an_honest_column_is_not(values: NDArray[np.generic]) -> None:
    assert found(pa.array(values.tolist())) == ()


def test_too_few_of_a_class_say_nothing() -> None:
    late = np.zeros(ROWS, np.int8)
    late[:29] = 1
    assert found(late, late) == ()
    late[29] = 1
    assert found(late, late) == ("column",)


def test_a_target_that_is_not_0_and_1_or_not_there_is_not_judged() -> None:
    values = np.arange(ROWS) * 1.0
    assert found(values, values) == ()
    with_null = pa.array([None, *target().tolist()[1:]])
    assert find_giveaways(pa.table({"late": with_null, "column": target()}), "late", ("column",)) == ()
    assert find_giveaways(pa.table({"column": target()}), "late", ("column",)) == ()


def test_lists_are_no_categories() -> None:
    assert found(pa.array([[each] for each in target().tolist()])) == ()


def test_honest_columns_of_many_worlds_raise_no_alarm() -> None:
    alarms = 0
    for seed in range(60):
        chance, late = np.random.default_rng(seed), target(seed, 0.1)
        columns = {
            "strong": late + chance.normal(scale=0.7, size=ROWS),
            "group": chance.integers(0, 90, ROWS),
        }
        rows = pa.table({"late": late, **columns})
        alarms += len(find_giveaways(rows, "late", tuple(columns), seed=seed))
    assert alarms == 0
