from __future__ import annotations

import json
import re

import pytest
from tests.project.worlds import LIVE, esteira, flip, refused, rewrite

from esteira.base.errors import CorruptArtifact, NotFound
from esteira.project.ingesting import ingest_new
from esteira.project.reproduce import NotReproducible, Reproduced, reproduce
from esteira.project.station import Station, open_station

STEPS = ["spine", "questions", "train", "holdout", "model", "baseline"]


def again(station: Station, *changes: tuple[str, str]) -> Reproduced:
    """Version 1 rebuilt by the project as it is after some changes of its file."""
    rewrite(station.settings.root, *changes)
    return reproduce(open_station(station.settings.root), 1)


def test_the_same_project_gives_equal_bytes_and_touches_nothing(station: Station) -> None:
    ingest_new(station, LIVE)  # newer rows do not matter: inputs are pinned
    assert station.tables.version("events").version == 1
    before = [run.id for run in station.journal.runs()], station.artifacts.count()
    found = again(station)
    assert found.equal
    assert found.steps == dict.fromkeys(STEPS, True)
    assert (found.differing, found.changed, found.reason) == ("", {}, "")
    assert ([run.id for run in station.journal.runs()], station.artifacts.count()) == before


def test_neither_a_comment_nor_a_default_that_the_run_holds_is_a_change(station: Station) -> None:
    steps = ("model", "baseline")
    changes = [
        (f"{name}(train: pa.Table, seed: int = 7", f"{name}(train: pa.Table, seed: int = 9") for name in steps
    ]
    assert again(station, ("@step\ndef model(", "# the trees\n@step\ndef model("), *changes).equal


def test_changed_code_is_named_with_the_step_that_differs(station: Station) -> None:
    found = again(station, ("max_rounds=40", "max_rounds=3"))
    assert not found.equal
    assert found.differing == "model"
    assert [name for name, same in found.steps.items() if not same] == ["model"]
    assert found.changed == {"model": "code changed: pumps.model"}
    assert found.reason == "the project is not as it was (model: code changed: pumps.model)"


def test_code_that_a_step_calls_counts_as_its_own(station: Station) -> None:
    found = again(station, ('COLUMNS = ("load", "firmware", *', 'COLUMNS = ("firmware", "load", *'))
    assert found.differing == "model"
    assert set(found.changed) == {"model", "baseline"}


def test_a_changed_view_is_named(station: Station) -> None:
    found = again(station, ("ttl=timedelta(hours=3)", "ttl=timedelta(hours=1)"))
    assert found.differing == "questions"
    assert found.changed["questions"] == "input climate changed"
    assert set(found.changed) == {"questions", "model", "baseline"}  # whose signature names the view


def test_a_step_that_is_gone_is_named_and_the_rest_is_compared(station: Station) -> None:
    found = again(
        station,
        ("holdout, model, baseline]", "holdout, model]"),
        ('    baseline="baseline",\n', ""),
    )
    assert found.equal  # of the model itself
    assert found.steps["baseline"] is False
    assert found.changed == {"baseline": "it is not in the project any more"}


ANOTHER_NAME = [
    ("def model(train: pa.Table", "def trees(train: pa.Table"),
    ("holdout, model, ", "holdout, trees, "),
    ('baseline="baseline",', 'baseline="baseline",\n    model="trees",'),
]
ONE_MORE_NEED = [("days: int = 14", "days: int"), ("def spine(", "def spine(weeks: int, ")]
RAISES = [("    recent = pc.and_(", '    raise ValueError("old rows")\n    recent = pc.and_(')]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (ANOTHER_NAME, "unknown step 'trees'"),
        (ONE_MORE_NEED, "needs 'weeks'"),
        (RAISES, "ValueError: old rows"),
    ],
)
def test_a_project_that_cannot_build_it_any_more_says_so(
    station: Station, changes: list[tuple[str, str]], reason: str
) -> None:
    with pytest.raises(NotReproducible, match=reason) as refusal:
        again(station, *changes)
    assert "check out the project files of that time" in str(refusal.value)


def test_the_same_code_with_other_bytes_is_called_by_its_name() -> None:
    found = Reproduced(1, "ab", "cd", "model", {"model": False}, {})
    assert found.reason == "step 'model' gives other bytes from the same code, parameters and inputs"


def test_an_unknown_version_is_not_found(station: Station) -> None:
    with pytest.raises(NotFound, match="version '9 of model pump'"):
        reproduce(station, 9)


def test_a_version_whose_run_is_gone_is_not_found(station: Station) -> None:
    for path in station.settings.home.glob("journal.db*"):
        path.unlink()
    with pytest.raises(NotFound, match="only runs of this project's journal"):
        reproduce(open_station(station.settings.root), 1)


def test_changed_rows_are_no_reproduction(station: Station) -> None:
    flip(next((station.settings.home / "tables" / "events").glob("*.parquet")))
    with pytest.raises(CorruptArtifact, match="events@0"):
        reproduce(station, 1)


def test_the_command_says_equal_or_not(station: Station, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(station.settings.root)
    code, said, _ = esteira("reproduce", "1", "-C", root, capsys=capsys)
    assert code == 0
    assert "the bytes are equal" in said
    rewrite(station.settings.root, ("max_rounds=40", "max_rounds=3"))
    code, said, _ = esteira("reproduce", "1", "-C", root, "--json", capsys=capsys)
    assert code == 1
    assert json.loads(said)["result"]["changed"] == {"model": "code changed: pumps.model"}
    code, said, _ = esteira("reproduce", "1", "-C", root, capsys=capsys)
    assert code == 1
    assert re.search("first at step 'model'", said)
    assert "esteira: version" in refused("reproduce", "9", "-C", root, capsys=capsys)
