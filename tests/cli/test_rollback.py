from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.web.stations import copy_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


def test_a_canary_is_stopped_first_and_then_the_champion_before_returns(
    esteira: Command, as_json: Callable[..., tuple[int, Any]], lived_folder: Path, tmp_path: Path
) -> None:
    folder = copy_of(lived_folder, tmp_path / "copy")
    code, out, err = esteira("rollback", "--reason", "bad scores", "-C", folder)
    assert (code, err) == (0, "")
    assert "tiny serves version 1 again" in out
    assert as_json("status", "-C", folder)[1]["rollout"] is None
    assert esteira("deploy", 2, "-C", folder)[0] == 0
    code, found = as_json("rollback", "-C", folder)
    assert (code, [arm["version"] for arm in found["routes"]["arms"]]) == (0, [1])


def test_without_an_earlier_champion_there_is_nothing_to_return_to(
    esteira: Command, empty_folder: Path
) -> None:
    code, out, err = esteira("rollback", "-C", empty_folder)
    assert (code, out) == (2, "")
    assert "esteira deploy VERSION" in err
