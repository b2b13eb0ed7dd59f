from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import CorruptArtifact
from esteira.data.tables.facts import Facts, Merge
from esteira.data.tables.layout import Layout


def laid(*rows: int) -> Layout:
    layout = Layout("flights")
    for at, count in enumerate(rows):
        layout.add(Facts(count, 0, file=f"{at}"))
    return layout


def merge(layout: Layout, first: int, last: int, file: str = "merged") -> Merge:
    run = layout.files[first:last]
    return Merge(Facts(sum(each.rows for each in run), 0, file=file), [each.file for each in run])


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(0, 50), st.integers(0, 50))
def test_the_files_of_a_range_are_those_with_a_row_in_it(rows: list[int], first: int, last: int) -> None:
    layout = laid(*rows)
    first, last = min(first, layout.rows), min(last, layout.rows)
    holders = [at for at, count in enumerate(rows) for _ in range(count)]
    wanted = sorted(set(holders[first:last])) if first < last else []
    assert [int(file.file) for file in layout.files[layout.holding(first, last)]] == wanted


@given(st.lists(st.integers(1, 5), min_size=2, max_size=8), st.data())
def test_merged_files_hold_the_same_rows_at_the_same_place(rows: list[int], data: st.DataObject) -> None:
    layout = laid(*rows)
    first = data.draw(st.integers(0, len(rows) - 2))
    last = data.draw(st.integers(first + 2, len(rows)))
    start, total = layout.start(layout.files[first]), layout.rows
    layout.merge([merge(layout, first, last)])
    assert (layout.rows, len(layout.files), layout.merges) == (total, len(rows) - (last - first) + 1, 1)
    assert layout.files[first].file == "merged"
    assert layout.start(layout.files[first]) == start


def test_several_runs_are_merged_at_once() -> None:
    layout = laid(1, 2, 3, 4, 5)
    layout.merge([merge(layout, 0, 2, "a"), merge(layout, 3, 5, "b")])
    assert [(file.file, file.rows) for file in layout.files] == [("a", 3), ("2", 3), ("b", 9)]
    assert layout.starts == [0, 3, 6]


def test_a_merge_is_possible_while_all_its_files_are_here() -> None:
    layout = laid(1, 2, 3)
    one, other = merge(layout, 0, 2), merge(layout, 1, 3)
    assert layout.has([one])
    layout.merge([one])
    assert not layout.has([one])
    assert not layout.has([other])


@pytest.mark.parametrize("replaced", [["0", "2"], ["1", "2", "3"], ["7", "8"]])
def test_a_merge_of_other_files_is_a_corrupt_log(replaced: list[str]) -> None:
    with pytest.raises(CorruptArtifact, match="log of table flights, which says that merged replaces"):
        laid(1, 1, 1).merge([Merge(Facts(2, 0, file="merged"), replaced)])


def test_a_merge_that_loses_rows_is_a_corrupt_log() -> None:
    with pytest.raises(CorruptArtifact):
        laid(1, 1).merge([Merge(Facts(1, 0, file="merged"), ["0", "1"])])
