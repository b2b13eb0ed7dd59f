"""A folder of tables, at noon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contracts.tables import NOON

from esteira.base.clock import SimulatedClock
from esteira.data.tables.delta import DeltaTables

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(start=NOON)


@pytest.fixture
def tables(tmp_path: Path, clock: SimulatedClock) -> DeltaTables:
    return DeltaTables(f"delta:{tmp_path}", clock=clock)
