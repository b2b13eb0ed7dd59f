from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import leaks
from esteira.features.proofs.leaks import Searched

if TYPE_CHECKING:
    import pytest


def test_every_kind_of_leak_is_measured_and_clean_worlds_too() -> None:
    for kind in ("nearest", "label_copy", ""):
        measured = leaks.measure(kind, 1)
        assert (measured.worlds, measured.missed, measured.share) == (1, (), 1)
        assert measured.seconds > 0


def test_a_world_that_is_judged_wrongly_is_counted_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "search_leaks", lambda *_, **__: Searched((), 1, 0, 0, ()))
    assert leaks.measure("nearest", 2).missed == (0, 1)
    assert leaks.measure("", 2).share == 0
