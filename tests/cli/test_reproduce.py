from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.web.stations import PROJECT, copy_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


def test_a_version_built_again_has_the_same_bytes(
    as_json: Callable[..., tuple[int, Any]], lived_folder: Path
) -> None:
    code, found = as_json("reproduce", 2, "-C", lived_folder)
    assert (code, found["equal"]) == (0, True)
    assert found["result"]["steps"] == {"train": True, "holdout": True, "model": True}


def test_changed_code_ends_with_1_and_names_the_first_step_that_differs(
    esteira: Command, lived_folder: Path, tmp_path: Path
) -> None:
    folder = copy_of(lived_folder, tmp_path / "copy")
    (folder / "tiny.py").write_text(PROJECT.replace("max_rounds=5", "max_rounds=3"), encoding="utf-8")
    code, out, _ = esteira("reproduce", 1, "-C", folder)
    words = " ".join(out.split())
    assert code == 1
    assert "first at step 'model'" in words
    assert "walk" not in words


def test_a_version_that_does_not_exist_is_bad_input(esteira: Command, lived_folder: Path) -> None:
    code, out, err = esteira("reproduce", 99, "-C", lived_folder)
    assert (code, out) == (2, "")
    assert "99" in err
