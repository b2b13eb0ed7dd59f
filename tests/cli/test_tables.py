from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from esteira.project.station import open_station

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command

    AsJson = Callable[..., tuple[int, Any]]


@pytest.fixture
def grown(empty_folder: Path) -> Path:
    """A project with a table of five appends and one of one."""
    tables = open_station(empty_folder).tables
    for at in range(5):
        tables.append("flights", pa.table({"n": [at], "carrier": ["UA"]}))
    tables.append("planes", pa.table({"seats": [180]}))
    return empty_folder


def test_all_tables_are_listed_with_what_they_take(as_json: AsJson, esteira: Command, grown: Path) -> None:
    code, found = as_json("tables", "list", "-C", grown)
    assert code == 0
    facts = [(each["table"], each["version"], each["rows"], each["files"]) for each in found["tables"]]
    assert facts == [("flights", 4, 5, 5), ("planes", 0, 1, 1)]
    assert all(each["bytes"] > 0 and each["is_ours"] for each in found["tables"])
    code, out, err = esteira("tables", "list", "-C", grown)
    assert (code, err) == (0, "")
    assert "flights" in out
    assert "planes" in out


def test_a_project_without_tables_has_an_empty_list(as_json: AsJson, empty_folder: Path) -> None:
    assert as_json("tables", "list", "-C", empty_folder) == (0, {"tables": []})


def test_a_table_is_shown_with_columns_and_versions(as_json: AsJson, esteira: Command, grown: Path) -> None:
    code, found = as_json("tables", "show", "flights", "-C", grown)
    assert code == 0
    assert found["schema"] == {"n": "int64", "carrier": "string"}
    assert [(each["version"], each["rows"]) for each in found["versions"]] == [(n, n + 1) for n in range(5)]
    _, out, _ = esteira("tables", "show", "flights", "-C", grown)
    assert "the newest of 5" in out
    assert "carrier" in out


def test_compacting_leaves_one_file_and_a_record(as_json: AsJson, esteira: Command, grown: Path) -> None:
    code, found = as_json("tables", "compact", "-C", grown)
    assert (code, found["compacted"]) == (
        0,
        [
            {"table": "flights", "version": 5, "files": 1, "before": 5},
            {"table": "planes", "version": None, "files": 1, "before": 1},
        ],
    )
    station = open_station(grown)
    assert station.tables.read("flights", version=2)["n"].to_pylist() == [0, 1, 2]
    assert [event.reason for event in station.audit.events(resource="flights")] == ["by hand"]
    _, out, _ = esteira("tables", "compact", "flights", "-C", grown, "--target-mb", 1)
    assert "flights" in out
    assert "planes" not in out


def test_vacuum_deletes_what_is_older_than_asked(as_json: AsJson, esteira: Command, grown: Path) -> None:
    as_json("tables", "compact", "-C", grown)
    assert as_json("tables", "vacuum", "flights", "-C", grown)[1]["vacuumed"][0]["files"] == 0
    code, found = as_json("tables", "vacuum", "-C", grown, "--older-than", "0d")
    assert code == 0
    assert [(each["table"], each["files"]) for each in found["vacuumed"]] == [("flights", 5), ("planes", 0)]
    assert found["vacuumed"][0]["bytes"] > 0
    code, out, _ = esteira("tables", "vacuum", "-C", grown, "--older-than", "12h")
    assert code == 0
    assert "Deleted" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "flight"), "'flight' does not exist; there are: flights, planes"),
        (("compact", "flight"), "'flight' does not exist"),
        (
            ("vacuum", "flights", "--older-than", "7"),
            "'7' is no span of time; write e.g. 7d, 12h, 30m or 10s",
        ),
        (("vacuum", "--older-than", "-1d"), "expected one argument"),
        (("compact", "--target-mb", "0"), "'0' is no size"),
        ((), "required: ACT"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    esteira: Command, grown: Path, words: tuple[str, ...], said: str
) -> None:
    code, out, err = esteira("tables", "-C", grown, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
