from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import digest_file
from esteira.data.tables.compaction import merged, runs
from esteira.data.tables.facts import Facts
from esteira.data.tables.schema import TIME

if TYPE_CHECKING:
    from pathlib import Path


def files(*sizes: int) -> list[Facts]:
    return [Facts(1, 0, file=f"{at}", size=size) for at, size in enumerate(sizes)]


@given(st.lists(st.integers(1, 120), max_size=20))
def test_runs_are_of_files_that_follow_one_another_and_fit_together(sizes: list[int]) -> None:
    found = runs(files(*sizes), target_bytes=100)
    for run in found:
        names = [int(file.file) for file in run]
        assert names == [*range(names[0], names[-1] + 1)]
        assert len(run) > 1
        assert sum(file.size for file in run) <= 100
    taken = [file.file for file in chain(*found)]
    assert len(taken) == len({*taken})


def test_a_table_that_grows_for_long_is_written_few_times_over() -> None:
    lying: list[Facts] = []
    appended, written = 10_000, 0
    for at in range(appended):
        lying.append(Facts(1, 0, file=f"{at}", size=1))
        if sum(len(run) for run in runs(lying, 5_000)) < 64:
            continue
        for run in runs(lying, 5_000):
            size, first = sum(file.size for file in run), lying.index(run[0])
            lying[first : first + len(run)] = [Facts(1, 0, file=f"{at}+{first}", size=size)]
            written += size
    assert len(lying) < 64 + 20
    assert written < 10 * appended  # one file for all each time would write 40 times as much


def test_a_merged_file_knows_the_span_of_all_that_it_holds(tmp_path: Path) -> None:
    schema = pa.schema([("at", TIME), ("born", TIME), ("gone", TIME)])
    run = [
        Facts(2, 0, file="a", spans={"at": (3, 5, 1)}),
        Facts(3, 0, file="b", spans={"at": (1, 4, 0), "born": (7, 8, 1)}),
    ]
    rows = pa.table({name: pa.nulls(5, TIME) for name in schema.names})
    found = merged(tmp_path, schema, run, [rows.slice(0, 3), rows.slice(3)], at=9)
    assert found.made.spans == {"at": (1, 5, 1), "born": (7, 8, 3)}
    assert (found.made.rows, found.made.at, [*found.replaced]) == (5, 9, ["a", "b"])
    path = tmp_path / found.made.file
    assert (found.made.size, found.made.digest) == (path.stat().st_size, digest_file(path))
    assert pq.read_table(path).equals(rows)
