from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import StorageUnwritable
from esteira.serving.cells import Cells

if TYPE_CHECKING:
    from pathlib import Path


def test_numbers_without_a_folder_are_read_back() -> None:
    cells = Cells(None, "w1")
    start = cells.place("requests", ("late",), 2)
    cells.values[start] += 3
    cells.values[start + 1] = 0.5
    assert list(cells.read()) == [("requests", ("late",), [3.0, 0.5])]


def test_every_worker_reads_the_numbers_of_all(tmp_path: Path) -> None:
    one, other = Cells(tmp_path, "w1"), Cells(tmp_path, "w2")
    for cells, number in ((one, 1.0), (other, 2.0)):
        cells.values[cells.place("requests", ("late",), 1)] = number
    assert list(one.read()) == list(other.read())
    assert [numbers for _, _, numbers in one.read()] == [[1.0], [2.0]]


def test_the_numbers_of_a_process_that_was_killed_stay(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from esteira.serving.cells import Cells\n"
        "cells = Cells(Path(sys.argv[1]), 'w1'); cells.values[cells.place('a', (), 1)] = 7.0\n"
        "os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert list(Cells(tmp_path, "w2").read()) == [("a", (), [7.0])]


def test_a_name_that_is_half_written_is_not_read(tmp_path: Path) -> None:
    cells = Cells(tmp_path, "w1")
    cells.place("a", (), 1)
    with (tmp_path / "w1.names").open("ab") as names:
        names.write(b'["b", [], 1')
    assert [family for family, _, _ in cells.read()] == ["a"]


def test_a_worker_of_the_same_name_starts_from_zero(tmp_path: Path) -> None:
    first = Cells(tmp_path, "w1")
    first.values[first.place("a", (), 1)] = 9.0
    second = Cells(tmp_path, "w1")
    second.place("b", (), 1)
    assert list(second.read()) == [("b", (), [0.0])]


def test_series_without_room_are_counted_nowhere_and_disturb_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cells = Cells(None, "w1", slots=100)
    first = cells.place("a", (), 30)
    with caplog.at_level(logging.WARNING, "esteira"):
        lost = cells.place("b", (), 15)
    for at in range(15):
        cells.values[lost + at] += 1
    cells.values[first] = 4.0
    assert [(family, numbers[0]) for family, _, numbers in cells.read()] == [("a", 4.0)]
    assert "no room" in caplog.text


def test_threads_never_get_the_same_slots() -> None:
    cells = Cells(None, "w1")
    with ThreadPoolExecutor(8) as pool:
        starts = list(pool.map(lambda n: cells.place("a", (str(n),), 3), range(400)))
    assert sorted(starts) == list(range(0, 1200, 3))


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritable):
        Cells(tmp_path / "file" / "shared", "w1")
