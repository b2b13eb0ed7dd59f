from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.disks import files_of_at_most

from esteira.base.clock import SimulatedClock
from esteira.base.errors import NotFound, StorageUnwritable
from esteira.data.checks import BatchRefused, Fresh, InRange, NotNull, Unique
from esteira.data.ingestion import Ingested, declare, ingest, quarantine_of
from esteira.data.tables import open_tables
from esteira.data.tables.schema import SchemaChanged
from esteira.governance.ledger import AuditLedger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.base.records import TableVersion
    from esteira.data.checks import Check
    from esteira.data.tables.port import TableStore

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
CHECKS = (NotNull(("id",)), InRange("miles", 0, 9), Unique(("id",)))


class Desk:
    """A table store, a clock and a ledger in one folder, as the project hands them over."""

    def __init__(self, folder: Path) -> None:
        self.clock = SimulatedClock(start=NOON)
        self.audit = AuditLedger(f"sqlite:{folder}/audit.db", self.clock, "ana")
        self.tables = open_tables(f"delta:{folder}/tables", clock=self.clock)

    def ingest(self, rows: pa.Table, token: str = "", checks: Sequence[Check] = CHECKS) -> Ingested:
        return ingest(self.tables, "flights", rows, checks, clock=self.clock, audit=self.audit, token=token)

    def rows(self, name: str) -> list[dict[str, Any]]:
        return list(self.tables.read(name).to_pylist()) if name in self.tables.names() else []

    def state(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """All rows kept, without when the bad ones were set aside."""
        bad = self.rows(quarantine_of("flights"))
        return self.rows("flights"), [{k: v for k, v in row.items() if k != "_quarantined_at"} for row in bad]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def batch(*rows: tuple[int | None, int | None]) -> pa.Table:
    ids, miles = ([row[at] for row in rows] for at in (0, 1))
    return pa.table({"id": pa.array(ids, pa.int64()), "miles": pa.array(miles, pa.int64())})


MIXED = batch((1, 5), (2, -1), (None, 5), (1, 6))


def test_good_rows_reach_the_table_and_bad_ones_the_quarantine_with_reason_and_time(desk: Desk) -> None:
    came = desk.ingest(MIXED)
    assert (came.version.ref, came.accepted, came.quarantined) == ("flights@0", 1, 3)
    assert came.reasons == {"miles is outside 0 to 9": 1, "id is null": 1, "id repeats": 1}
    assert desk.rows("flights") == [{"id": 1, "miles": 5}]
    assert desk.rows("flights_quarantine") == [
        {"id": 2, "miles": -1, "_reason": "miles is outside 0 to 9", "_quarantined_at": NOON},
        {"id": None, "miles": 5, "_reason": "id is null", "_quarantined_at": NOON},
        {"id": 1, "miles": 6, "_reason": "id repeats", "_quarantined_at": NOON},
    ]


def test_a_good_batch_makes_no_quarantine(desk: Desk) -> None:
    assert desk.ingest(batch((1, 1))).quarantined == 0
    assert desk.tables.names() == ["flights"]


def test_a_batch_of_bad_rows_only_begins_an_empty_table(desk: Desk) -> None:
    came = desk.ingest(batch((1, -1)))
    assert (came.version.rows, came.quarantined) == (0, 1)
    assert desk.ingest(batch((2, 2))).version.ref == "flights@1"


def test_the_audit_trail_hears_of_it_before_and_after(desk: Desk) -> None:
    desk.ingest(MIXED, token="january")
    intent, done = desk.audit.events()
    assert (intent.action, intent.resource) == ("data.append", "flights")
    assert (done.action, done.resource) == ("data.appended", "flights@0")
    reasons = {"miles is outside 0 to 9": 1, "id is null": 1, "id repeats": 1}
    facts = {"accepted": 1, "quarantined": 3, "reasons": reasons, "token": "january"}
    assert intent.facts == done.facts == facts


def test_nothing_is_appended_that_the_audit_trail_cannot_keep(desk: Desk) -> None:
    desk.audit.record("data.append", "before")
    with files_of_at_most(1_000), pytest.raises(StorageUnwritable, match=r"audit\.db"):
        desk.ingest(MIXED)
    assert desk.tables.names() == []
    assert desk.ingest(MIXED).accepted == 1


def test_a_refused_batch_writes_nothing(desk: Desk) -> None:
    for rows, checks in (
        (pa.table({"other": [1]}), CHECKS),
        (pa.table({"at": pa.array([NOON - timedelta(days=1)], TIME)}), [Fresh("at", timedelta(hours=1))]),
    ):
        with pytest.raises(BatchRefused):
            desk.ingest(rows, checks=checks)
    assert desk.tables.names() == []
    with pytest.raises(NotFound):
        desk.tables.version("flights")


def test_a_changed_schema_writes_nothing_not_even_to_quarantine(desk: Desk) -> None:
    desk.ingest(batch((1, 1)))
    with pytest.raises(SchemaChanged, match="gate is new"):
        desk.ingest(MIXED.append_column("gate", pa.array(["A"] * 4)))
    assert desk.tables.names() == ["flights"]
    assert desk.tables.version("flights").ref == "flights@0"


# Kills


class Killed(BaseException):
    """Stands for a kill: no handler of ours may catch it."""


class Dying:
    """The real store, which dies at one of its appends, before or after it."""

    def __init__(self, tables: TableStore, at: int, *, after: bool) -> None:
        self._tables, self._left, self._after = tables, at, after

    def append(self, name: str, rows: pa.Table, *, token: str = "") -> TableVersion:
        dies, self._left = self._left == 0, self._left - 1
        if dies and not self._after:
            raise Killed
        made = self._tables.append(name, rows, token=token)
        if dies:
            raise Killed
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("after", [False, True])
def test_a_batch_killed_anywhere_is_completed_by_the_same_call(
    tmp_path: Path, at: int, *, after: bool
) -> None:
    whole, desk = Desk(tmp_path / "whole"), Desk(tmp_path / "killed")
    expected = whole.ingest(MIXED, token="january")
    real, desk.tables = desk.tables, Dying(desk.tables, at, after=after)
    with pytest.raises(Killed):
        desk.ingest(MIXED, token="january")
    desk.tables = real
    assert desk.ingest(MIXED, token="january") == expected
    assert desk.state() == whole.state()
    assert desk.ingest(MIXED, token="january") == expected
    assert desk.state() == whole.state()


def test_a_batch_that_was_begun_may_grow_old_before_it_is_completed(desk: Desk) -> None:
    rows = pa.table({"at": pa.array([NOON, None], TIME)})
    checks = (Fresh("at", timedelta(hours=1)), NotNull(("at",)))
    real, desk.tables = desk.tables, Dying(desk.tables, 0, after=True)
    with suppress(Killed):
        desk.ingest(rows, "noon", checks)
    desk.tables = real
    desk.clock.advance(timedelta(days=1))
    assert desk.ingest(rows, "noon", checks).quarantined == 1
    assert len(desk.rows("flights_quarantine")) == 1
    with pytest.raises(BatchRefused):
        desk.ingest(rows, "not begun", checks)


ROWS = st.lists(st.tuples(st.integers(0, 4) | st.none(), st.integers(-2, 11) | st.none()), max_size=8)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(ROWS, st.integers(0, 2), st.booleans()), min_size=1, max_size=3))
def test_accepted_and_quarantined_add_up_to_the_input_whatever_is_killed(
    batches: list[tuple[list[tuple[int | None, int | None]], int, bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        real = desk.tables
        for number, (rows, at, after) in enumerate(batches):
            desk.tables = Dying(real, at, after=after)
            with suppress(Killed):
                desk.ingest(batch(*rows), token=f"day {number}")
            desk.tables = real
            came = desk.ingest(batch(*rows), token=f"day {number}")
            assert came.accepted + came.quarantined == len(rows)
        good, bad = desk.state()
        kept = [(row["id"], row["miles"]) for row in (*good, *bad)]
        given_rows = [row for rows, _, _ in batches for row in rows]
        assert sorted(kept, key=repr) == sorted(given_rows, key=repr)
        assert all(row["_reason"] for row in bad)


# Declared schemas

WIDER = pa.schema([("id", pa.int64()), ("gate", pa.string()), ("miles", pa.int64())])


def test_declared_columns_come_to_the_table_and_to_that_of_its_bad_rows(desk: Desk) -> None:
    desk.ingest(batch((1, 5), (2, 99)))
    rows = batch((3, 6), (4, 98)).append_column("gate", pa.array(["B12", "C3"]))
    desk.ingest(declare(desk.tables, "flights", WIDER, rows, audit=desk.audit))
    good, bad = desk.state()
    assert good == [{"id": 1, "miles": 5, "gate": None}, {"id": 3, "miles": 6, "gate": "B12"}]
    assert [(row["id"], row["gate"]) for row in bad] == [(2, None), (4, "C3")]
    said = [(e.resource, e.facts) for e in desk.audit.events() if e.action == "data.evolve"]
    assert said == [(name, {"columns": ["gate"]}) for name in ("flights", "flights_quarantine")]
    declare(desk.tables, "flights", WIDER, rows, audit=desk.audit)
    assert desk.tables.version("flights").version == 2


def test_a_new_table_begins_with_the_declared_columns_and_types(desk: Desk) -> None:
    rows = pa.table({"miles": pa.array([5], pa.int64()), "gate": pa.nulls(1), "id": [1]})
    found = declare(desk.tables, "flights", WIDER, rows, audit=desk.audit)
    assert found.schema == WIDER
    assert desk.tables.names() == []
    assert [event.action for event in desk.audit.events()] == []


@pytest.mark.parametrize(
    ("rows", "schema", "said"),
    [
        (batch((1, 5)), WIDER, "gate is missing"),
        (batch((1, 5)), pa.schema([("id", pa.int64()), ("miles", pa.string())]), "miles is int64, expected"),
        (batch((1, 5)).select(["id"]), pa.schema([("id", pa.int64())]), "miles is missing; keep them"),
    ],
)
def test_what_contradicts_the_declaration_is_refused_and_nothing_is_written(
    desk: Desk, rows: pa.Table, schema: pa.Schema, said: str
) -> None:
    desk.ingest(batch((1, 5)))
    with pytest.raises(SchemaChanged, match=said):
        declare(desk.tables, "flights", schema, rows, audit=desk.audit)
    assert desk.tables.version("flights").version == 0
