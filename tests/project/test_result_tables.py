from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.project.scored import lay_late

from esteira.base.errors import BadInput
from esteira.monitoring.drain import _TABLES
from esteira.project.definition import LOGS
from esteira.project.result_tables import refuse_filled

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.station import Station

PROJECT = """from esteira import Project, TableSource
project = Project("late", steps=[], tables=[TableSource("readings", lambda since, until: None)])
"""


@pytest.fixture
def late(tmp_path: Path) -> Station:
    return lay_late(tmp_path / "late", project=PROJECT)


@pytest.mark.parametrize("name", [*LOGS, "readings", "scores_quarantine"])
def test_what_the_project_fills_takes_no_results(late: Station, name: str) -> None:
    with pytest.raises(BadInput, match="filled by the project itself; name another"):
        refuse_filled(late, name)


def test_every_log_that_is_drained_is_one_of_them() -> None:
    assert {*_TABLES} == {*LOGS}


def test_any_other_name_of_a_table_will_do(late: Station) -> None:
    refuse_filled(late, "scores")
    with pytest.raises(BadInput, match="cannot name a table"):
        refuse_filled(late, "two words")
