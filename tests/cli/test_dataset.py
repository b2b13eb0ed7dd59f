from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.web.stations import PROJECT, copy_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command

    AsJson = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def copied(lived_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lived project with a second training set."""
    from esteira.cli.main import main

    folder = copy_of(lived_folder, tmp_path_factory.mktemp("datasets") / "copy")
    main(["run", "--set", "hours=90", "-C", str(folder), "--json"])
    return folder


def test_the_training_sets_are_listed_newest_first(esteira: Command, as_json: AsJson, copied: Path) -> None:
    code, found = as_json("dataset", "list", "-C", copied)
    assert code == 0
    assert [each["rows"] for each in found["datasets"]] == [310, 320]
    code, out, err = esteira("dataset", "list", "-C", copied)
    assert (code, err) == (0, "")
    assert all(each["digest"][:12] in out for each in found["datasets"])
    assert out.count("facts@0") == 2


def test_one_is_shown_with_all_that_it_was_made_of(esteira: Command, as_json: AsJson, copied: Path) -> None:
    found = as_json("dataset", "show", "-C", copied)[1]
    assert (found["step"], found["parameters"]["hours"]) == ("train", 90)
    assert found["tables"] == {"facts": {"version": 0, "rows": 400}}
    code, out, _ = esteira("dataset", "show", found["digest"][:9], "-C", copied)
    words = " ".join(out.split())
    assert code == 0
    assert "310 rows of step train" in words
    assert "version 0, 400 rows" in words
    assert "esteira dataset rebuild" in words


def test_what_moved_is_told(esteira: Command, as_json: AsJson, copied: Path) -> None:
    code, found = as_json("dataset", "diff", "1", "-C", copied)
    assert (code, found["equal"]) == (0, False)
    assert found["moved"]["parameters"] == {"hours": [80, 90]}
    assert found["moved"]["rows"] == [320, 310]
    assert found["common_rows"] == 310  # without a spine a row is the same when all of it is
    code, out, _ = esteira("dataset", "diff", "1", "-C", copied)
    words = " ".join(out.split())
    assert code == 0
    assert "parameter hours" in words
    assert "in the 310 rows that both have no value differs" in words


def test_a_training_set_made_again_is_equal(esteira: Command, as_json: AsJson, copied: Path) -> None:
    assert as_json("dataset", "rebuild", "1", "-C", copied)[1]["equal"] is True
    code, out, _ = esteira("dataset", "rebuild", "-C", copied)
    assert code == 0
    assert "the content is equal" in out


def test_changed_code_ends_with_1_and_says_what_differs(
    esteira: Command, as_json: AsJson, copied: Path, tmp_path: Path
) -> None:
    folder = copy_of(copied, tmp_path / "changed")
    doubled = 'facts.set_column(2, "x", pa.array(2 * facts["x"].to_numpy()))'
    text = PROJECT.replace("    return time_split(facts,", f"    return time_split({doubled},", 1)
    (folder / "tiny.py").write_text(text, encoding="utf-8")
    code, found = as_json("dataset", "rebuild", "1", "-C", folder)
    assert (code, found["equal"]) == (1, False)
    code, out, _ = esteira("dataset", "rebuild", "1", "-C", folder)
    words = " ".join(out.split())
    assert code == 1
    assert "x │ 320 │ " in words
    assert "the content differs: not as it was: code: " in words
    shown = found["values"]["x"]
    assert (shown["row"], shown["after"]) == (0, 2 * shown["before"])


@pytest.mark.parametrize(
    "words", [("show", "nothing"), ("rebuild", "7"), ("diff",), ("jump",), ("show", "20200101T000000-none")]
)
def test_a_ref_that_leads_nowhere_is_bad_input(
    esteira: Command, lived_folder: Path, words: tuple[str, ...]
) -> None:
    code, out, err = esteira("dataset", *words, "-C", lived_folder)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_an_empty_project_has_none(esteira: Command, as_json: AsJson, empty_folder: Path) -> None:
    assert as_json("dataset", "list", "-C", empty_folder) == (0, {"datasets": []})
    code, _, err = esteira("dataset", "show", "-C", empty_folder)
    assert code == 2
    assert "esteira run" in err


def test_a_file_that_is_no_manifest_is_bad_input(esteira: Command, empty_folder: Path) -> None:
    code, _, err = esteira("dataset", "show", empty_folder / "tiny.py", "-C", empty_folder)
    assert code == 2
    assert "is no manifest of a training set" in err
