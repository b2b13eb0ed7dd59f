from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import startup

if TYPE_CHECKING:
    import pytest


def test_every_command_is_timed_once_a_round() -> None:
    taken = startup.measure(rounds=1)
    assert set(taken) == {"bare_python", "import_esteira", "esteira_help"}
    assert all(len(times) == 1 and times[0] > 0 for times in taken.values())


def test_a_command_that_fails_is_named_and_nothing_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(startup.COMMANDS, "esteira_help", (sys.executable, "-c", "raise SystemExit(3)"))
    assert startup.main() == 1
    assert capsys.readouterr().out.strip().endswith("raise SystemExit(3) ended with exit code 3")
