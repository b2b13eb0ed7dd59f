from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.project.scored import flights, lay_late

from esteira.cli.score import _condition
from esteira.project.station import open_station

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command

    AsJson = Callable[..., tuple[int, Any]]


@pytest.fixture
def late_folder(tmp_path: Path) -> Path:
    station = lay_late(tmp_path / "late")
    rows = flights(1_000)
    station.tables.append("flights", rows)
    miles = rows["miles"].to_numpy().copy()
    miles[7] = np.nan
    station.tables.append("odd", rows.set_column(1, "miles", pa.array(miles)))
    return station.settings.root


def test_a_table_is_scored_and_told_of(esteira: Command, late_folder: Path) -> None:
    code, out, err = esteira("score", "flights", "scores", "-C", late_folder, "--chunk", 300)
    assert (code, err) == (0, "")
    assert "scores: 1,000 rows of flights@0 scored by version 1, in chunks of 300\n" in out
    assert "rows/s" in out
    assert open_station(late_folder).tables.version("scores").version == 3
    code, out, _ = esteira("score", "flights", "scores", "-C", late_folder)
    assert code == 0
    assert "all of them were there already" in out


def test_machines_get_json_and_every_word_takes_effect(
    as_json: AsJson, late_folder: Path, tmp_path: Path
) -> None:
    words = ("--version", 2, "--keep", "id,miles", "--where", "miles > 500", "--where", "carrier == UA")
    code, said = as_json("score", "flights", tmp_path / "out.parquet", "-C", late_folder, *words)
    assert (code, said["version"], said["source"]) == (0, 2, "flights@0")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.column_names == ["id", "miles", "score", "version", "scored_at"]
    expected = flights(1_000).to_pylist()
    wanted = [row["id"] for row in expected if row["miles"] > 500 and row["carrier"] == "UA"]
    assert found["id"].to_pylist() == wanted
    assert said["scored"] == len(wanted) > 0


def test_bad_rows_are_refused_or_kept_aside(esteira: Command, as_json: AsJson, late_folder: Path) -> None:
    code, out, err = esteira("score", "odd", "scores", "-C", late_folder)
    assert (code, out) == (2, "")
    assert "row 7 of odd@0: column 'miles' must be a finite number, found nan" in err
    code, said = as_json("score", "odd", "kept", "-C", late_folder, "--keep-bad")
    assert (code, said["scored"], said["set_aside"], said["quarantine"]) == (0, 999, 1, "kept_quarantine")
    _, out, _ = esteira("score", "odd", "told", "-C", late_folder, "--keep-bad")
    assert "told_quarantine: 1 rows that cannot be scored, with the reason" in out


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("miles>500", ("miles", ">", 500)),
        ("miles != 1.5", ("miles", "!=", 1.5)),
        ("carrier == 'UA'", ("carrier", "==", "UA")),
        ("carrier == United Air", ("carrier", "==", "United Air")),
        ("origin not in ['JFK', 'LGA']", ("origin", "not in", ["JFK", "LGA"])),
        ('note == "it\'s"', ("note", "==", "it's")),
        ("is_late == true", ("is_late", "==", True)),
        ("min_in >= 2", ("min_in", ">=", 2)),
    ],
)
def test_a_condition_is_read_as_it_is_written(text: str, condition: tuple[str, str, object]) -> None:
    assert _condition(text) == condition


def test_a_time_is_compared_as_a_time(as_json: AsJson, late_folder: Path) -> None:
    moments = pa.array([0, 7_200_000_000], pa.timestamp("us", tz="UTC"))
    rows = flights(2).append_column("at", moments)
    open_station(late_folder).tables.append("timed", rows)
    words = ("--where", "at >= 1970-01-01T01:00:00+00:00")
    assert as_json("score", "timed", "scores", "-C", late_folder, *words)[1]["scored"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("flights",), "required: TARGET"),
        (("flight", "scores"), "'flight' does not exist; there are: flights, odd"),
        (("flights", "scores", "--version", "x"), "whole number from 1 on"),
        (("flights", "scores", "--chunk", "0"), "whole number from 1 on"),
        (("flights", "scores", "--keep", ","), "must name columns, each once"),
        (("flights", "scores", "--keep", "id,id"), "must name columns, each once"),
        (("flights", "scores", "--where", "miles"), "must be COLUMN OPERATOR VALUE"),
        (("flights", "scores", "--where", "at > 2013-07-01T00:00"), "has no time zone; give UTC"),
        (("flights", "scores", "--where", f"miles > {'9' * 30}"), "cannot read flights where"),
        (("flights", "scores", "--where", "mile > 1"), "did you mean 'miles'?"),
        (("flights", "odd"), "odd exists, and no scoring made it"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    esteira: Command, late_folder: Path, words: tuple[str, ...], said: str
) -> None:
    code, out, err = esteira("score", *words, "-C", late_folder)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
