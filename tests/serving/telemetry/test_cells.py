from __future__ import annotations

import logging
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import StorageUnwritable
from esteira.serving.telemetry.cells import SINK, Cells, Place, WorkerCells

if TYPE_CHECKING:
    from pathlib import Path

DIES = """
import os, sys
from pathlib import Path
from esteira.serving.telemetry.cells import Cells
cells = Cells(Path(sys.argv[1]), "w1")
cells.values[cells.place("a", (), 1)] = 7.0
os.kill(os.getpid(), 9)
"""


def _read(folder: Path, worker: str = "w1") -> list[tuple[str, tuple[str, ...], list[float]]]:
    cells = WorkerCells(folder / f"{worker}.names")
    numbers = cells.numbers()
    return [
        (each.family, each.labels, numbers[each.start : each.start + each.size].tolist())
        for each in cells.placed()
    ]


def test_numbers_without_a_folder_stay_in_the_process() -> None:
    cells = Cells(None, "w1")
    start = cells.place("requests", ("late",), 2)
    cells.values[start] += 3
    cells.values[start + 1] = 0.5
    assert list(cells.placed()) == [Place("requests", ("late",), start, 2)]
    assert cells.numbers()[start : start + 2].tolist() == [3.0, 0.5]


def test_another_reader_sees_the_numbers_as_they_change(tmp_path: Path) -> None:
    cells = Cells(tmp_path, "w1")
    reader = WorkerCells(tmp_path / "w1.names")
    start = cells.place("requests", ("late",), 1)
    assert list(reader.placed()) == [Place("requests", ("late",), start, 1)]
    cells.values[start] += 2
    assert reader.numbers()[start] == 2.0
    cells.place("requests", ("early",), 1)
    assert [each.labels for each in reader.placed()] == [("late",), ("early",)]


def test_a_series_holds_its_first_value_before_anybody_can_read_it(tmp_path: Path) -> None:
    Cells(tmp_path, "w1").place("revision", ("late",), 1, 5.0)
    assert _read(tmp_path) == [("revision", ("late",), [5.0])]


def test_the_numbers_of_a_process_that_was_killed_stay_and_it_is_known_to_be_dead(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert _read(tmp_path) == [("a", (), [7.0])]
    assert not WorkerCells(tmp_path / "w1.names").is_alive()


def test_a_worker_lives_until_it_closes(tmp_path: Path) -> None:
    cells = Cells(tmp_path, "w1")
    reader = WorkerCells(tmp_path / "w1.names")
    assert [reader.is_alive(), cells.is_alive()] == [True, True]
    cells.close()
    assert not reader.is_alive()


def test_a_name_that_is_half_written_is_not_read_until_it_is_whole(tmp_path: Path) -> None:
    Cells(tmp_path, "w1").place("a", (), 1)
    with (tmp_path / "w1.names").open("ab", buffering=0) as names:
        reader = WorkerCells(tmp_path / "w1.names")
        names.write(b'["b", [], 1')
        assert [each.family for each in reader.placed()] == ["a"]
        names.write(b"00, 1]\n")
        assert [each.family for each in reader.placed()] == ["a", "b"]


def test_a_worker_whose_process_id_comes_again_does_not_write_over_the_earlier_one(tmp_path: Path) -> None:
    first = Cells(tmp_path, "w1")
    first.values[first.place("a", (), 1)] = 9.0
    second = Cells(tmp_path, "w1")
    second.place("b", (), 1)
    assert _read(tmp_path) == [("a", (), [9.0])]
    assert _read(tmp_path, "w1-1") == [("b", (), [0.0])]


def test_series_without_room_are_counted_nowhere_and_disturb_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cells = Cells(None, "w1", slots=SINK + 36)
    first = cells.place("a", (), 30)
    with caplog.at_level(logging.WARNING, "esteira"):
        lost = [cells.place("b", (str(n),), 15) for n in range(3)]
    for start in lost:
        for at in range(15):
            cells.values[start + at] += 1
    cells.values[first] = 4.0
    assert [(each.family, each.start) for each in cells.placed()] == [("a", first)]
    assert cells.numbers()[first] == 4.0
    assert caplog.text.count("no room") == 1


def test_on_a_full_disk_new_series_are_not_counted_and_nothing_breaks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cells = Cells(tmp_path, "w1", slots=20_000)
    kept = cells.place("a", (), 1)
    names = (tmp_path / "w1.names").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (names + 5, before[1]))
    try:
        lost = [cells.place("b", (), 1), cells.place("b", (), 15_000)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    cells.values[kept] += 1
    later = cells.place("c", (), 1)
    assert [start < SINK for start in lost] == [True, True]
    assert later >= SINK
    assert _read(tmp_path) == [("a", (), [1.0]), ("c", (), [0.0])]
    assert caplog.text.count("no room") == 1


def test_threads_never_get_the_same_slots() -> None:
    cells = Cells(None, "w1")
    with ThreadPoolExecutor(8) as pool:
        starts = list(pool.map(lambda n: cells.place("a", (str(n),), 3), range(400)))
    assert sorted(starts) == list(range(SINK, SINK + 1200, 3))


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritable):
        Cells(tmp_path / "file" / "shared", "w1")
