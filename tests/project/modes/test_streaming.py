from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.project.modes.conftest import ROWS

from esteira.project.modes import streaming
from esteira.project.modes.measured import compared

if TYPE_CHECKING:
    from esteira.project.modes.scratch import Scratch


@pytest.fixture(autouse=True)
def _short_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_PACED_S", 0.2)


@pytest.mark.slow
def test_messages_are_scored_and_those_that_come_later_are_timed(
    scratch: Scratch, right: list[float]
) -> None:
    found = streaming.measure(scratch)
    measured = found.measured
    assert found.scores.tolist() == right
    assert (measured.name, measured.rows) == ("streaming", ROWS)
    assert measured.facts["refused"] == []
    assert 0 < measured.p50_s <= measured.p99_s < 5
    assert measured.p99_s > measured.facts["linger_ms"] / 1000 / 2  # it waits for more, and takes its time
    table = scratch.tables.read(streaming.TABLE, columns=["position"])
    assert table["position"].to_pylist() == [*range(ROWS + measured.facts["paced_rows"])]


@pytest.mark.slow
def test_a_message_that_cannot_be_scored_is_missing(scratch: Scratch, right: list[float]) -> None:
    rows = [*scratch.rows]
    rows[3] = {"stranger": 1}
    found = streaming.measure(replace(scratch, rows=rows))
    assert np.flatnonzero(np.isnan(found.scores)).tolist() == [3]
    (mode,) = compared([found]).modes
    assert mode.missing == 1
    assert "stranger" in mode.facts["refused"][0]["reason"]
    assert found.scores[4:].tolist() == right[4:]
