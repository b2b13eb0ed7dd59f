from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.features.proofs.cutoffs import choose_cutoffs
from esteira.features.proofs.futures import NEVER_KNOWN, Questions, Source, World
from esteira.features.times import UTC_MICROS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def world(asked: NDArray[np.int64], *sources: Source, keys: list[str] | None = None) -> World:
    columns = {"asked_at": pa.array(asked, UTC_MICROS), "key": keys or ["a"] * len(asked)}
    questions = Questions(pa.table(columns), "asked_at", "late", (), asked + 1)
    return World(questions, {str(at): source for at, source in enumerate(sources)})


def source(known: list[int], since: list[int] | None = None, keys: list[str] | None = None) -> Source:
    rows = pa.table({"key": pa.array(keys or ["a"] * len(known), pa.string())})
    return Source(rows, np.array(known, np.int64), np.array(since or known, np.int64), ("key",))


def test_a_cutoff_is_a_moment_of_a_question_and_each_stretch_has_its_own() -> None:
    asked = np.sort(np.random.default_rng(1).integers(0, 10_000, 300))
    found = choose_cutoffs(world(asked), 5)
    assert {*found.tolist()} <= {*asked.tolist()}
    edges = np.quantile(asked, np.linspace(0.05, 0.95, 6), method="nearest")
    assert np.searchsorted(edges, found, side="right").tolist() == [1, 2, 3, 4, 5]


def test_a_cutoff_lies_where_the_next_row_is_near() -> None:
    asked = np.arange(0, 10_000, 100)
    rows = source([5_501, 9_999])
    assert choose_cutoffs(world(asked, rows), 1).tolist() == [5_500]


def test_a_row_about_somebody_else_is_not_near() -> None:
    asked = np.arange(0, 10_000, 100)
    rows = source([3_301, 5_590], keys=["b", "a"])
    assert choose_cutoffs(world(asked, rows), 1).tolist() == [5_500]


def test_a_cutoff_lies_where_a_row_was_true_but_not_known() -> None:
    asked = np.arange(0, 10_000, 100)
    on_time, late = source([3_390]), source([7_090], since=[6_950])
    assert choose_cutoffs(world(asked, on_time, late), 1).tolist() == [7_000]


def test_a_cutoff_lies_where_an_open_question_is_followed_by_one_about_the_same() -> None:
    asked = np.arange(0, 10_000, 100)
    keys = [str(at) for at in range(100)]
    keys[55] = keys[56]  # asked again at 5,600
    known = asked + 1
    known[[20, 55]] += 199  # two questions that stay open for as long
    about = world(asked, source([], keys=[]), keys=keys)
    assert choose_cutoffs(replace(about, questions=replace(about.questions, known_us=known)), 1) == [5_600]


def test_keys_of_another_type_are_passed_over() -> None:
    rows = Source(pa.table({"key": [1, 2]}), np.array([30, 70]), np.array([30, 70]), ("key",))
    assert len(choose_cutoffs(world(np.arange(100), rows), 3)) == 3


def test_rows_that_were_never_known_have_no_say() -> None:
    asked = np.arange(0, 10_000, 100)
    rows = source([5_501, NEVER_KNOWN], since=[5_501, 2_000])
    assert choose_cutoffs(world(asked, rows), 1).tolist() == [5_500]


def test_few_questions_give_few_cutoffs_and_none_gives_none() -> None:
    assert choose_cutoffs(world(np.zeros(0, np.int64)), 5).tolist() == []
    assert choose_cutoffs(world(np.array([7, 7, 7])), 5).tolist() == [7]
    assert choose_cutoffs(world(np.arange(100)), 0).tolist() == []
