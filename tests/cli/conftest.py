"""Projects to command: one with a life behind it, and an empty one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.web.stations import lay_down, lived

from esteira.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Said = tuple[int, str, str]
    Command = Callable[..., Said]


@pytest.fixture(scope="session")
def lived_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read it only."""
    return lived(tmp_path_factory.getbasetemp())


@pytest.fixture
def empty_folder(tmp_path: Path) -> Path:
    return lay_down(tmp_path / "empty")


@pytest.fixture
def esteira(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one command here: its exit code and what it said on both streams."""

    def run(*words: object) -> Said:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def as_json(esteira: Command) -> Callable[..., tuple[int, Any]]:
    """Run one command with --json: its exit code and the object that it printed."""

    def run(*words: object) -> tuple[int, Any]:
        code, out, err = esteira(*words, "--json")
        assert err == ""
        return code, json.loads(out)

    return run
