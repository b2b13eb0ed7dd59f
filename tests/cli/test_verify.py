from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.web.stations import copy_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


def test_what_is_whole_is_said_with_what_was_counted(esteira: Command, lived_folder: Path) -> None:
    code, out, err = esteira("verify", "-C", lived_folder)
    assert (code, err) == (0, "")
    for what in ("audit chain", "tables", "artifacts", "model versions", "routes"):
        assert what in out


def test_verify_is_json_for_machines(as_json: Callable[..., tuple[int, Any]], lived_folder: Path) -> None:
    code, found = as_json("verify", "-C", lived_folder)
    assert (code, found["whole"]) == (0, True)
    assert {each["what"]: each["checked"] for each in found["findings"]}["model versions"] == 2


def test_one_changed_byte_ends_with_1_and_is_named(
    as_json: Callable[..., tuple[int, Any]], lived_folder: Path, tmp_path: Path
) -> None:
    folder = copy_of(lived_folder, tmp_path / "copy")
    victim = next((folder / ".esteira" / "tables" / "facts").glob("*.parquet"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(bytes(content[:-1]))
    code, found = as_json("verify", "-C", folder)
    assert (code, found["whole"]) == (1, False)
    problems = {each["what"]: each["problems"] for each in found["findings"]}
    assert any("facts" in problem for problem in problems["tables"])
