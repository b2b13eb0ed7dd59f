from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.web.stations import HOSTILE, copy_of, lay_down

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command

    AsJson = Callable[..., tuple[int, Any]]


@pytest.fixture
def copied(lived_folder: Path, tmp_path: Path) -> Path:
    return copy_of(lived_folder, tmp_path / "copy")


def test_every_view_is_listed(esteira: Command, as_json: AsJson, lived_folder: Path) -> None:
    (view,) = as_json("features", "list", "-C", lived_folder)[1]["views"]
    assert (view["name"], view["source"], view["online"]["status"]) == ("latest", "facts", "new")
    code, out, err = esteira("features", "list", "-C", lived_folder)
    words = " ".join(out.split())
    assert (code, err) == (0, "")
    assert f"latest │ - │ 2 │ facts@0 │ new │ - │ the newest x {HOSTILE}" in words


def test_a_view_is_shown_with_lineage_and_statistics(
    esteira: Command, as_json: AsJson, lived_folder: Path
) -> None:
    code, found = as_json("features", "show", "latest", "-C", lived_folder)
    assert code == 0
    assert found["view"]["origins"][0]["column"] == "x"
    assert [each["feature"] for each in found["statistics"]["features"]] == ["x", "y"]
    words = " ".join(esteira("features", "show", "latest", "-C", lived_folder)[1].split())
    assert "x │ facts.x" in words
    assert "holds for │ 1 h" in words
    assert "Over 400 rows" in words
    assert "y │ int8 │ 0.0% │ 2" in words


def test_a_view_without_rows_says_what_to_do(esteira: Command, as_json: AsJson, empty_folder: Path) -> None:
    code, out, _ = esteira("features", "show", "latest", "-C", empty_folder)
    assert code == 0
    assert "fill its source with: esteira run" in out
    assert as_json("features", "show", "latest", "-C", empty_folder)[1]["statistics"] is None


def test_search_finds_by_every_word(as_json: AsJson, lived_folder: Path) -> None:
    for words, count in ((("newest", "X"), 1), (("facts",), 1), (("nowhere", "x"), 0)):
        assert len(as_json("features", "search", *words, "-C", lived_folder)[1]["views"]) == count


def test_materialize_brings_what_is_new_and_then_nothing(
    esteira: Command, as_json: AsJson, copied: Path
) -> None:
    (made,) = as_json("features", "materialize", "-C", copied)[1]["views"]
    assert (made["view"], made["rows"], made["source"]["version"]) == ("latest", 1, 0)
    code, out, _ = esteira("features", "materialize", "latest", "-C", copied)
    assert code == 0
    assert "latest │ 0 │ facts@0" in " ".join(out.split())
    (view,) = as_json("features", "list", "-C", copied)[1]["views"]
    assert view["online"]["status"] == "current"
    assert as_json("features", "materialize", "--backfill", "-C", copied)[0] == 0


def test_materialize_goes_to_the_moment_that_is_asked_for(as_json: AsJson, copied: Path) -> None:
    until = "2020-02-10T00:00:00Z"
    (made,) = as_json("features", "materialize", "--until", until, "-C", copied)[1]["views"]
    assert made["until"] == "2020-02-10T00:00:00+00:00"


def test_a_table_that_is_not_there_has_nothing_to_bring(esteira: Command, empty_folder: Path) -> None:
    code, out, _ = esteira("features", "materialize", "-C", empty_folder)
    assert code == 0
    assert "latest │ 0 │ not there yet" in " ".join(out.split())


@pytest.mark.parametrize(
    "words",
    [
        ("show", "nobody"),
        ("search",),
        ("jump",),
        ("materialize", "nobody"),
        ("materialize", "--until", "noon"),
        ("materialize", "--until", "2020-01-01T00:00:00"),
        ("materialize", "--until", "2999-01-01T00:00:00Z"),
        ("verify", "--sample", "0"),
        ("verify", "--seed", str(2**64)),
        ("leaks", "--cutoffs", "few"),
        ("leaks", "--seed", "-1"),
    ],
)
def test_bad_input_is_one_line_with_its_mend(
    esteira: Command, lived_folder: Path, words: tuple[str, ...]
) -> None:
    code, out, err = esteira("features", *words, "-C", lived_folder)
    assert (code, out) == (2, "")
    assert err.startswith("esteira: ")
    assert "Traceback" not in err


def test_a_project_of_features_alone_can_be_filled_and_asked(
    esteira: Command, as_json: AsJson, tmp_path: Path
) -> None:
    from tests.web.stations import PROJECT

    sources = PROJECT.partition("@step")[0]
    alone = f'{sources}project = Project("tiny", [], [TableSource("facts", facts)], [latest])\n'
    folder = lay_down(tmp_path, project=alone)
    code, out, _ = esteira("run", "-C", folder)
    assert code == 0
    assert "facts: 400 rows in" in out
    assert "there is no pipeline to run" in out
    assert as_json("run", "-C", folder) == (0, {"run": None, "ingested": {}})
    assert as_json("features", "materialize", "-C", folder)[1]["views"][0]["rows"] == 1
    assert as_json("status", "-C", folder)[1]["champion"] is None
    code, _, err = esteira("features", "leaks", "-C", folder)
    assert code == 2
    assert "has no steps, so no training set to look for leaks in" in err
