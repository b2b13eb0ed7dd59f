"""What the contracts of a TableStore share: how it is opened, and rows to keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from esteira.base.clock import SimulatedClock
from esteira.data.tables.schema import TIME

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.ports import Clock
    from esteira.data.tables.port import TableStore

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)


def flights(*miles: float | None) -> pa.Table:
    return pa.table(
        {"miles": pa.array(miles, pa.float64()), "carrier": pa.array(["UA"] * len(miles), pa.string())}
    )


def seen(*minutes: int | None) -> pa.Table:
    """Rows with a time, so many minutes after noon."""
    at = [None if m is None else NOON + timedelta(minutes=m) for m in minutes]
    return pa.table({"at": pa.array(at, TIME), "n": pa.array(range(len(minutes)), pa.int64())})


class TableContract:
    """Subclass it and give `open`."""

    def open(self, folder: Path, clock: Clock) -> TableStore:
        raise NotImplementedError

    @pytest.fixture
    def tables(self, tmp_path: Path) -> TableStore:
        return self.open(tmp_path, SimulatedClock(start=NOON))
