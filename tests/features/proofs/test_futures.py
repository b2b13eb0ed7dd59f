from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.features.proofs.futures import (
    FUTURES,
    Questions,
    Source,
    World,
    mutated,
    other_values,
    truncated,
    with_other_outcomes,
)
from esteira.features.times import UTC_MICROS

MOMENT = 50


def chance(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def world() -> World:
    asked = np.arange(10) * 10
    rows = {"id": [f"q{at}" for at in range(10)], "key": list("abababcdcd"), "late": [0, 1] * 5}
    questions = pa.table({**rows, "asked_at": pa.array(asked, UTC_MICROS)})
    source = pa.table({**rows, "value": np.arange(10.0), "known_at": pa.array(asked + 25, UTC_MICROS)})
    return World(
        Questions(questions, "asked_at", "late", ("value",), asked + 25, "id"),
        {"outcomes": Source(source, asked + 25, asked, ("key",))},
    )


@pytest.mark.parametrize("future", FUTURES.values(), ids=FUTURES)
def test_the_past_is_the_same_in_every_future(future: object) -> None:
    before, after = world(), future(world(), MOMENT, chance())  # a function
    known = before.sources["outcomes"].known_us <= MOMENT
    past = before.sources["outcomes"].rows.filter(pa.array(known))
    assert after.sources["outcomes"].rows.slice(0, past.num_rows).equals(past)
    asked = before.questions.asked_us <= MOMENT
    for name in ("id", "key", "asked_at"):
        one, other = (each.questions.rows[name].filter(pa.array(asked)) for each in (before, after))
        assert one.equals(other)


def test_truncation_deletes_what_was_not_known_and_leaves_the_questions() -> None:
    after = truncated(world(), MOMENT, chance())
    assert after.sources["outcomes"].known_us.tolist() == [25, 35, 45]
    assert after.sources["outcomes"].rows.num_rows == 3
    assert after.questions.rows.equals(world().questions.rows)


def test_mutation_keeps_keys_ids_and_times_and_changes_every_value() -> None:
    before, after = world().sources["outcomes"].rows, mutated(world(), MOMENT, chance())
    rows = after.sources["outcomes"].rows
    for name in ("id", "key", "known_at"):
        assert rows[name].equals(before[name])
    for name in ("late", "value"):
        changed = pc.not_equal(rows[name], before[name]).to_pylist()
        assert changed == [False] * 3 + [True] * 7


def test_mutation_makes_later_questions_others_at_the_same_times() -> None:
    before, after = world().questions.rows, mutated(world(), MOMENT, chance(4)).questions.rows
    assert after.slice(0, 6).equals(before.slice(0, 6))
    assert after["id"].equals(before["id"])
    assert after["asked_at"].equals(before["asked_at"])
    assert not after.slice(6)["key"].equals(before.slice(6)["key"])
    assert pc.not_equal(after["late"], before["late"]).to_pylist() == [False] * 6 + [True] * 4


def test_only_open_questions_get_another_outcome() -> None:
    after = with_other_outcomes(world(), MOMENT, chance())
    flipped = pc.not_equal(after.questions.rows["late"], world().questions.rows["late"]).to_pylist()
    assert flipped == [False] * 3 + [True] * 3 + [False] * 4  # asked by 50, known after
    rows = after.sources["outcomes"].rows
    changed = pc.not_equal(rows["value"], world().sources["outcomes"].rows["value"]).to_pylist()
    assert changed == flipped


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=1),
    st.integers(0, 99),
)
def test_every_chosen_value_becomes_another_of_its_column(values: list[int | None], seed: int) -> None:
    column = pa.chunked_array([pa.array(values, pa.int32())])
    which = np.random.default_rng(seed).random(len(values)) < 0.5
    changed = other_values(column, which, chance(seed)).to_pylist()
    for before, after, chosen in zip(values, changed, which, strict=True):
        if not chosen:
            assert after == before
        elif len(set(values)) > 1:
            assert after != before
            assert after in values


def test_the_only_value_of_a_column_grows_or_turns_if_it_can() -> None:
    all_of_them = np.ones(2, np.bool_)
    for only, other in ((3, 4), (True, False), ("x", "x"), (None, None)):
        column = pa.chunked_array([[only, only]])
        assert other_values(column, all_of_them, chance()).to_pylist() == [other, other]


def test_values_that_nothing_can_compare_change_places() -> None:
    column = pa.chunked_array([[[1], [2], [3]]])
    changed = other_values(column, np.array([False, True, True]), chance()).to_pylist()
    assert changed[0] == [1]
    assert changed[1] != [2]
