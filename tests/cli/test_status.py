from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


def test_an_empty_project_says_what_to_do_next(esteira: Command, empty_folder: Path) -> None:
    code, out, err = esteira("status", "-C", empty_folder)
    assert (code, err) == (0, "")
    assert "esteira deploy VERSION" in out
    assert "esteira run" in out


def test_what_serves_alarms_and_runs_is_said(esteira: Command, lived_folder: Path) -> None:
    code, out, _ = esteira("status", "-C", lived_folder)
    words = " ".join(out.split())
    assert code == 0
    assert "version 1 95%, version 2 5%" in words
    assert "running at step 1" in words
    assert "alert: drift x" in words
    assert "60, 60 labels" in words


def test_status_is_json_for_machines(
    as_json: Callable[..., tuple[int, Any]], lived_folder: Path, empty_folder: Path
) -> None:
    code, seen = as_json("status", "-C", lived_folder)
    assert code == 0
    assert (seen["project"], seen["champion"], seen["predictions"]) == ("tiny", 1, 60)
    assert seen["routes"]["arms"][1]["share"] == 0.05
    assert [alert["state"] for alert in seen["alerts"]] == ["firing"]
    assert as_json("status", "-C", empty_folder)[1]["routes"] is None
