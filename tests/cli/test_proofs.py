from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.web.stations import NOW, PROJECT, copy_of, lay_down

from esteira.project.station import open_station

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command

    AsJson = Callable[..., tuple[int, Any]]


@pytest.fixture
def filled(lived_folder: Path, esteira: Command, tmp_path: Path) -> Path:
    """A copy whose online store stands where its tables do."""
    folder = copy_of(lived_folder, tmp_path / "copy")
    assert esteira("features", "materialize", "-C", folder)[0] == 0
    return folder


def test_online_equals_offline(esteira: Command, as_json: AsJson, filled: Path) -> None:
    code, found = as_json("features", "verify", "--sample", "50", "-C", filled)
    assert (code, found["passed"]) == (0, True)
    assert [each["view"] for each in found["result"]["views"]] == ["latest"]
    code, out, _ = esteira("features", "verify", "-C", filled)
    words = " ".join(out.split())
    assert code == 0
    assert "view latest │ 1 keys │ 2 │ 0" in words
    assert "logged vectors" in words
    assert words.endswith("online equals offline")


def test_a_store_that_says_otherwise_ends_with_1_and_shows_the_cell(
    esteira: Command, as_json: AsJson, filled: Path
) -> None:
    station = open_station(filled)
    wrong = station.tables.read("facts").slice(399).set_column(2, "x", pa.array([99.0]))
    late = pa.array([NOW], pa.timestamp("us", "UTC"))
    station.online.write(station.project.views[0], wrong.set_column(0, "asked_at", late))
    station.online.close()
    code, out, _ = esteira("features", "verify", "-C", filled)
    words = " ".join(out.split())
    assert code == 1
    assert "99.0, present" in words
    assert words.endswith("online differs from offline")
    assert as_json("features", "verify", "-C", filled)[1]["passed"] is False


def test_a_clean_training_set_has_no_leak(esteira: Command, as_json: AsJson, filled: Path) -> None:
    code, out, _ = esteira("features", "leaks", "--cutoffs", "2", "-C", filled)
    assert code == 0
    assert "step train, questions of facts: no leak; looked at" in out
    assert as_json("features", "leaks", "--cutoffs", "1", "-C", filled)[1]["passed"] is True


def test_a_leak_ends_with_1_and_is_told_with_cause_and_mend(
    esteira: Command, as_json: AsJson, tmp_path: Path
) -> None:
    split = "    return time_split(facts,"
    told = '    facts = facts.append_column("answer", facts["y"])\n'
    answered = PROJECT.replace('columns=("x",)', 'columns=("x", "answer")').replace(split, told + split)
    folder = lay_down(tmp_path, project=answered)
    assert esteira("run", "-C", folder)[0] == 0
    code, out, _ = esteira("features", "leaks", "--cutoffs", "2", "-C", folder)
    words = " ".join(out.split())
    assert code == 1
    assert "columns │ answer" in words
    assert "likely cause" in words
    assert as_json("features", "leaks", "--cutoffs", "1", "-C", folder)[1]["passed"] is False
