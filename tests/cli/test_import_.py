from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.worlds import tree_text

from esteira.project.station import open_station

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Trees of the columns c0 and c1."""
    path = tmp_path / "trees.txt"
    path.write_bytes(tree_text(-1.0, columns=2))
    return path


def test_a_file_becomes_a_version_that_serves_nothing_yet(
    esteira: Command, empty_folder: Path, file: Path
) -> None:
    code, out, err = esteira("import", file, "--reason", "from the other team", "-C", empty_folder)
    assert (code, err) == (0, "")
    assert "version 1 of tiny: lightgbm, columns c0, c1" in out
    assert "esteira deploy 1 --canary" in out
    station = open_station(empty_folder)
    assert [event.reason for event in station.audit.events()] == ["from the other team"]
    assert station.routes.get("tiny") is None


def test_machines_read_one_object(
    as_json: Callable[..., tuple[int, Any]], empty_folder: Path, file: Path
) -> None:
    code, found = as_json("import", file, "--as", "lightgbm", "--target", "y", "-C", empty_folder)
    assert code == 0
    assert found["imported"]["inputs"] == ["c0", "c1"]
    assert found["imported"]["version"]["tags"]["esteira.gates"] == "not judged"


def test_what_cannot_be_imported_is_one_line_and_exit_code_2(
    esteira: Command, empty_folder: Path, tmp_path: Path, file: Path
) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    for words in (
        (tmp_path / "model.pkl",),
        (tmp_path / "nowhere",),
        (tmp_path,),
        (file, "--as", "sklearn"),
        (file, "--like", "7"),
        (file, "--columns", tmp_path / "no.json"),
    ):
        code, out, err = esteira("import", *words, "-C", empty_folder)
        assert (code, out) == (2, ""), words
        assert err.startswith("esteira: ")
        assert err.count("\n") == 1
