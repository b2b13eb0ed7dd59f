from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

import pytest
from benchmarks.report import Figure, Report, machine, versions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("figure", "is_short"),
    [
        (Figure("join", 60.0, "ms", 60.0), False),
        (Figure("join", 60.1, "ms", 60.0), True),
        (Figure("ratio", 20.0, "x", 20.0, "at least"), False),
        (Figure("ratio", 19.9, "x", 20.0, "at least"), True),
        (Figure("bare", 19.9, "ms"), False),
    ],
)
def test_a_figure_is_short_only_beyond_its_goal(figure: Figure, is_short: bool) -> None:
    assert figure.is_short == is_short
    assert figure.line().endswith("short") == is_short


def test_a_line_has_name_value_unit_goal_and_verdict() -> None:
    assert Figure("join", 12.5, "ms", 60.0).line().split() == ["join", "12.5", "ms", "<=", "60", "holds"]
    assert Figure("ratio", 25, "x", 20, "at least").line().split() == [
        "ratio",
        "25",
        "x",
        ">=",
        "20",
        "holds",
    ]
    assert Figure("bare", 14.0, "ms").line().split() == ["bare", "14", "ms"]


def test_a_report_holds_only_if_every_figure_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("area", results=tmp_path / "results")
    report.add(Figure("one", 1.0, "ms", 2.0))
    assert report.finish() == 0
    report.add(Figure("other", 3.0, "ms", 2.0))
    assert report.finish() == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["one", "other"]


def test_what_is_written_says_figures_versions_and_machine_and_no_place(tmp_path: Path) -> None:
    report = Report("area", distributions=("numpy", "no-such-thing"), results=tmp_path)
    report.add(Figure("one", 1.23456789, "ms", 2.0))
    report.finish()
    text = (tmp_path / "area.json").read_text(encoding="utf-8")
    written = json.loads(text)
    assert written["figures"] == [
        {"name": "one", "value": 1.23457, "unit": "ms", "goal": 2.0, "bound": "at most", "holds": True}
    ]
    assert written["versions"]["no-such-thing"] == "absent"
    assert set(written["versions"]) == {"esteira-ml", "numpy", "no-such-thing"}
    assert written["machine"] == machine()
    assert str(tmp_path) not in text
    assert platform.node() not in text


def test_a_machine_is_told_by_what_figures_depend_on() -> None:
    told = machine()
    assert set(told) == {"cpu", "cores", "memory_gib", "system", "python"}
    assert all(told.values())


def test_a_version_is_that_of_the_installed_distribution() -> None:
    assert versions(["pytest"]) == {"pytest": pytest.__version__}
