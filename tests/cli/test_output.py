from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from esteira.base.records import Artifact, RunStatus, TableVersion
from esteira.cli.output import console, print_json, print_table


def test_records_become_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    version = TableVersion("flights", 3, 10, datetime(2020, 1, 1, tzinfo=UTC))
    print_json(
        {"table": version, "made": (Artifact("ab", "json", 3),), "status": RunStatus.DONE, "word": "é"}
    )
    text = capsys.readouterr().out
    assert json.loads(text) == {
        "table": {
            "table": "flights",
            "version": 3,
            "rows": 10,
            "committed_at": "2020-01-01T00:00:00+00:00",
        },
        "made": [{"digest": "ab", "codec": "json", "size": 3}],
        "status": "done",
        "word": "é",
    }
    assert "é" in text


def test_a_table_shows_a_dash_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Things", ("name", "value"), [("a", None), ("b", ""), ("c", 0)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Things"] in lines
    assert ["a", "-"] in [[part for part in line if part not in "│|"] for line in lines]
    assert ["c", "0"] in [[part for part in line if part not in "│|"] for line in lines]


def test_words_in_square_brackets_are_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Things", ("name",), [("[red]x[/red]",), ("[/oops]",)])
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert "[/oops]" in out


@pytest.mark.parametrize("text", ["plain", "é – ü"])
def test_the_console_writes_plain_text_when_nobody_looks(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    console().print(text)
    assert capsys.readouterr().out == f"{text}\n"
