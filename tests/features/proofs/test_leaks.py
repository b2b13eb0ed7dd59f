from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks import leaks
from esteira.base.errors import BadInput, UnknownName
from esteira.features.proofs.futures import Questions, Source, World
from esteira.features.proofs.leaks import search_leaks
from esteira.features.times import UTC_MICROS

if TYPE_CHECKING:
    from collections.abc import Mapping


def world(rows: int = 100, feature: str = "seen") -> World:
    """Questions at 0, 10, 20…, each about a row of the one source that became known five later."""
    asked = np.arange(rows) * 10
    late = np.random.default_rng(5).integers(0, 2, rows)
    table = pa.table({"id": np.arange(rows), "asked_at": pa.array(asked, UTC_MICROS), "late": late})
    values = pa.table({"id": np.arange(rows), "value": np.arange(rows) * 1.5})
    source = Source(values, asked + 5, asked + 5)
    return World(Questions(table, "asked_at", "late", (feature,), asked + 5, "id"), {"values": source})


def row_before(spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
    return spine.append_column("seen", _row_of(spine, tables, -1))


def row_after(spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
    return spine.append_column("seen", _row_of(spine, tables, 0))


def _row_of(spine: pa.Table, tables: Mapping[str, pa.Table], step: int) -> pa.ChunkedArray:
    values = tables["values"]
    return values["value"].take(pc.index_in(pc.add(spine["id"], step), values["id"].combine_chunks()))


@pytest.mark.parametrize("kind", leaks.KINDS)
def test_a_planted_leak_is_found_and_nothing_else_is(kind: str) -> None:
    assert leaks.measure(kind, 1).missed == ()


def test_clean_worlds_raise_no_alarm() -> None:
    assert leaks.measure("", 8).missed == ()


def test_what_looks_back_is_no_leak() -> None:
    found = search_leaks(row_before, world())
    assert found.passed
    assert (found.futures, found.questions, found.undecided) == (15, 100, ())
    assert found.cells > 15 * 3


def test_a_row_that_is_known_a_moment_after_the_question_is_found_with_its_example() -> None:
    found = search_leaks(row_after, world())
    assert not found.passed
    by_check = {leak.check: leak for leak in found.leaks}
    assert {*by_check} == {"truncation", "mutation", "own outcome"}
    leak = by_check["truncation"]
    assert (leak.columns, leak.cells, leak.rows) == (("seen",), 5, 5)
    assert leak.cause == "rows answer before they were known"
    assert leak.example is not None
    number = int(leak.example.question)
    assert (leak.example.value, leak.example.without) == (number * 1.5, None)
    assert leak.example.asked_at.microsecond == number * 10


def test_what_is_fitted_on_everything_is_told_apart_from_what_is_too_early() -> None:
    def scaled(spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        middle = pc.mean(tables["values"]["value"])
        return spine.append_column("seen", pc.subtract(_row_of(spine, tables, -1), middle))

    causes = {leak.cause for leak in search_leaks(scaled, world()).leaks if leak.check != "own outcome"}
    assert len(causes) == 1
    assert "made of all rows" in causes.pop()


def test_a_count_of_rows_to_come_is_found_by_deleting_them_alone() -> None:
    def counted(spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        return spine.append_column("seen", pa.array([tables["values"].num_rows] * spine.num_rows))

    assert {leak.check for leak in search_leaks(counted, world()).leaks} == {"truncation"}


def test_an_outcome_to_come_that_deleting_cannot_hide_is_found_by_other_values() -> None:
    def next_but_one(spine: pa.Table, _: Mapping[str, pa.Table]) -> pa.Table:
        late = spine["late"].to_pylist()
        return spine.append_column("seen", pa.array([*late[2:], None, None]))

    assert {leak.check for leak in search_leaks(next_but_one, world()).leaks} == {"mutation", "own outcome"}


def test_a_question_is_found_by_its_place_when_nothing_names_it() -> None:
    known = world()
    nameless = replace(known, questions=replace(known.questions, id=""))
    assert search_leaks(row_before, nameless).passed
    found = search_leaks(row_after, nameless)
    assert {leak.check for leak in found.leaks} == {"truncation", "mutation"}
    example = found.leaks[0].example
    assert example is not None
    assert example.question.startswith("row ")


def test_a_step_that_is_never_twice_the_same_proves_nothing_and_is_said() -> None:
    chance = np.random.default_rng(1)

    def random(spine: pa.Table, _: Mapping[str, pa.Table]) -> pa.Table:
        return spine.append_column("seen", pa.array(chance.random(spine.num_rows)))

    found = search_leaks(random, world())
    assert [(leak.check, leak.cells) for leak in found.leaks] == [("repetition", 100)]
    assert found.cells == 0
    assert not found.passed


def test_a_future_that_cannot_be_computed_is_undecided_and_not_passed_over() -> None:
    def needs_all(spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        if tables["values"].num_rows < 100:
            raise BadInput("too few values")
        return row_before(spine, tables)

    found = search_leaks(needs_all, world(), cutoffs=2)
    assert found.futures == 4
    assert len(found.undecided) == 2
    assert found.undecided[0].startswith("truncation at 1970-01-01T00:00:00.000")
    assert found.undecided[0].endswith("too few values")


def test_a_column_that_is_there_for_the_sake_of_later_rows_is_a_leak() -> None:
    def wide(spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        is_there = tables["values"].num_rows == 100
        return spine.append_column("seen", pa.array([0] * spine.num_rows)) if is_there else spine

    (leak,) = search_leaks(wide, world()).leaks
    assert (leak.check, leak.columns) == ("truncation", ("seen",))
    assert leak.example is not None
    assert (leak.example.value, leak.example.without) == (0, None)


def test_a_feature_that_the_set_has_not_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown column of the training set 'scene'; did you mean 'seen'"):
        search_leaks(row_before, world(feature="scene"))


def test_nothing_compared_is_not_passed() -> None:
    assert not search_leaks(row_before, world(rows=0)).passed


def test_progress_tells_each_future_and_how_much_is_done() -> None:
    heard: list[tuple[str, float]] = []
    search_leaks(row_before, world(), cutoffs=2, on_progress=lambda what, done: heard.append((what, done)))
    assert [what.partition(" at ")[0] for what, _ in heard] == ["truncation", "mutation", "own outcome"] * 2
    assert [done for _, done in heard] == pytest.approx([at / 6 for at in range(6)])


def test_the_same_seed_finds_the_same() -> None:
    assert search_leaks(row_after, world(), seed=3) == search_leaks(row_after, world(), seed=3)
