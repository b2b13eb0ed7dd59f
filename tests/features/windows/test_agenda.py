"""Deltas come back when they are due, each once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.features.windows.agenda import END_OF_TIME, Agenda, Deltas

changes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(-5, 5)), max_size=8)
acts = st.lists(
    st.tuples(st.just("put"), changes) | st.tuples(st.just("take"), st.integers(0, 9)), max_size=12
)


def deltas(cells: list[Any]) -> Deltas:
    codes, boundaries, amounts = (np.array([cell[at] for cell in cells], np.int64) for at in range(3))
    return Deltas(codes, boundaries, amounts.reshape(-1, 1))


def listed(found: Deltas) -> list[tuple[int, int, int]]:
    amounts = found.amounts[:, 0].tolist()
    return list(zip(found.codes.tolist(), found.boundaries.tolist(), amounts, strict=True))


@settings(max_examples=200, deadline=None)
@given(acts)
def test_what_is_due_is_handed_out_in_order_and_once(acts: list[Any]) -> None:
    agenda, pending = Agenda(Deltas.none(1)), Counter[tuple[int, int, int]]()
    for act, given_ in [*acts, ("take", 99)]:
        if act == "put":
            agenda.put(deltas(given_))
            pending.update(given_)
        else:
            found = listed(agenda.take(given_))
            assert Counter(found) == Counter({cell: n for cell, n in pending.items() if cell[1] <= given_})
            assert [boundary for _, boundary, _ in found] == sorted(boundary for _, boundary, _ in found)
            pending.subtract(found)
            pending = +pending
    assert not pending


@settings(max_examples=100, deadline=None)
@given(st.lists(changes, max_size=4))
def test_what_is_handed_out_after_others_is_known_before_it_is_taken(chunks: list[Any]) -> None:
    agenda = Agenda(Deltas.none(1))
    for chunk in chunks:
        agenda.put(deltas(chunk))
    places = range(sum(map(len, chunks)) + 1)
    foreseen = [agenda.boundary_of(place) for place in places]
    assert foreseen == [*agenda.take(9).boundaries.tolist(), END_OF_TIME]


def test_what_undoes_deltas_adds_up_to_nothing_with_them() -> None:
    both = deltas([(1, 5, 2), (0, 9, -3)])
    assert listed(Deltas.joined([both, both.negative()]).summed()) == [(0, 9, 0), (1, 5, 0)]


@settings(max_examples=100, deadline=None)
@given(changes)
def test_deltas_of_one_key_and_boundary_add_up(cells: list[Any]) -> None:
    totals: dict[tuple[int, int], int] = {}
    for code, boundary, amount in cells:
        totals[code, boundary] = totals.get((code, boundary), 0) + amount
    assert listed(deltas(cells).summed()) == [(*key, totals[key]) for key in sorted(totals)]


def test_joined_deltas_keep_their_order() -> None:
    assert listed(Deltas.joined([deltas([(1, 5, 2)]), deltas([]), deltas([(0, 9, 3)])])) == [
        (1, 5, 2),
        (0, 9, 3),
    ]
