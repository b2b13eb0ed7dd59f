from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


def test_a_new_folder_is_a_project_and_says_what_is_next(esteira: Command, tmp_path: Path) -> None:
    code, out, err = esteira("init", "flights", "-C", tmp_path)
    assert (code, err) == (0, "")
    assert "cd flights && esteira run" in out
    assert (tmp_path / "flights" / "esteira.toml").is_file()
    assert esteira("status", "-C", tmp_path / "flights")[0] == 0


def test_nothing_is_written_over(
    esteira: Command, as_json: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    code, made = as_json("init", "flights", "-C", tmp_path)
    assert (code, made) == (0, {"folder": str(tmp_path / "flights")})
    (tmp_path / "flights" / "flights.py").write_text("mine")
    code, out, err = esteira("init", "flights", "-C", tmp_path)
    assert (code, out) == (2, "")
    assert "not empty" in err
    assert (tmp_path / "flights" / "flights.py").read_text() == "mine"
