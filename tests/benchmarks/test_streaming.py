from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from benchmarks.report import Report

from benchmarks import streaming

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_small_run_finds_nothing_lost_and_counts_its_kills(tmp_path: Path) -> None:
    report = Report("streaming", results=tmp_path / "results")
    streaming.survive(report, "local", f"file:{tmp_path}/inbox", tmp_path, 6_000, 2)
    found = {figure.name: figure.value for figure in report.figures}
    assert (found["local_messages"], found["local_kills"]) == (6_000, 2)
    assert (found["local_lost"], found["local_doubled"], found["local_wrong_rows"]) == (0, 0, 0)
    assert report.finish() == 0


def test_a_rate_is_that_of_one_scorer(tmp_path: Path) -> None:
    report = Report("streaming", results=tmp_path / "results")
    streaming.rate(report, "local", f"file:{tmp_path}/inbox", 3_000)
    (figure,) = report.figures
    assert figure.name == "local_rate"
    assert figure.value > 100
