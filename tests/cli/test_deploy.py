from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.web.stations import copy_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


@pytest.fixture
def copied(lived_folder: Path, tmp_path: Path, esteira: Command) -> Path:
    """With its canary ended."""
    folder = copy_of(lived_folder, tmp_path / "copy")
    assert esteira("rollback", "-C", folder)[0] == 0
    return folder


def test_a_version_goes_into_production_with_its_reason(esteira: Command, copied: Path) -> None:
    code, out, err = esteira("deploy", 2, "--reason", "we like it", "-C", copied)
    assert (code, err) == (0, "")
    assert "tiny serves version 2 100%" in out
    from esteira.project.station import open_station

    reasons = [event.reason for event in open_station(copied).audit.events(limit=3)]
    assert "we like it" in reasons


def test_a_canary_takes_only_its_first_share(as_json: Callable[..., tuple[int, Any]], copied: Path) -> None:
    code, found = as_json("deploy", 2, "--canary", "-C", copied)
    assert code == 0
    assert [(arm["version"], arm["share"]) for arm in found["routes"]["arms"]] == [(1, 0.95), (2, 0.05)]


def test_what_cannot_be_deployed_is_bad_input_and_changes_nothing(
    esteira: Command, lived_folder: Path, empty_folder: Path
) -> None:
    code, _, err = esteira("deploy", 1, "-C", lived_folder)
    assert code == 2
    assert "esteira rollback" in err  # a canary is under way
    for number in (99, -1):
        assert esteira("deploy", "-C", lived_folder, "--", number)[0] == 2
    code, _, err = esteira("deploy", 1, "-C", empty_folder)
    assert code == 2
    assert "does not exist" in err
