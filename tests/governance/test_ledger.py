from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.audit_trail import AuditTrailContract

from esteira.base.clock import SimulatedClock, SystemClock
from esteira.base.digest import canonical_json
from esteira.base.errors import BadInput, CorruptArtifact, NaiveTime
from esteira.governance.chain import GENESIS, link_digest
from esteira.governance.ledger import AuditLedger, Verified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.base.ports import Clock

MORNING = datetime(2013, 7, 1, 8, tzinfo=UTC)
TRIGGERS = ("audit_keeps_records", "audit_loses_nothing", "audit_has_no_holes")
FIELDS = ("at", "actor", "action", "resource", "reason", "facts", "previous", "digest")


def open_ledger(folder: Path) -> AuditLedger:
    return AuditLedger(f"sqlite:{folder}/audit.db", SimulatedClock(start=MORNING), "ana")


@pytest.fixture
def ledger(tmp_path: Path) -> AuditLedger:
    return open_ledger(tmp_path)


def fill(ledger: AuditLedger, count: int) -> None:
    for number in range(1, count + 1):
        ledger.record("data.append", f"flights@{number}", reason="daily", facts={"rows": number})


def tamper(folder: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    """Do to the file what its triggers forbid."""
    with closing(sqlite3.connect(folder / "audit.db")) as connection, connection:
        for name in TRIGGERS:
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        change(connection)


def sql(text: str, *values: object) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(text, values)


def swap(one: int, other: int) -> Callable[[sqlite3.Connection], object]:
    moves = ((one, 0), (other, one), (0, other))
    return lambda c: [c.execute("UPDATE audit SET seq = ? WHERE seq = ?", (to, at)) for at, to in moves]


def rewrite(connection: sqlite3.Connection, start: int, **changes: Any) -> None:
    """Forge record `start` and seal it and everything after it anew, as the owner of the disk could."""
    connection.row_factory = sqlite3.Row
    rows = connection.execute("SELECT * FROM audit WHERE seq >= ? ORDER BY seq", (start - 1,)).fetchall()
    previous = rows[0]["digest"] if start > 1 else GENESIS
    for row in rows[1:] if start > 1 else rows:
        link = dict(row) | {"facts": json.loads(row["facts"]), "previous": previous}
        link |= changes if row["seq"] == start else {}
        del link["digest"]
        previous = link_digest(link)
        stored = {**link, "facts": canonical_json(link["facts"]).decode(), "digest": previous}
        assigned = ", ".join(f"{name} = :{name}" for name in FIELDS)
        connection.execute(f"UPDATE audit SET {assigned} WHERE seq = :seq", stored)


class TestAuditLedger(AuditTrailContract):
    def open(self, folder: Path, clock: Clock, actor: str) -> AuditLedger:
        return AuditLedger(f"sqlite:{folder}/audit.db", clock, actor)


def test_an_empty_ledger_is_whole(ledger: AuditLedger) -> None:
    assert ledger.verify() == Verified(0, GENESIS)


def test_a_filled_ledger_is_whole_and_ends_in_its_last_digest(ledger: AuditLedger) -> None:
    fill(ledger, 5)
    assert ledger.verify() == Verified(5, ledger.events()[-1].digest)


def test_a_chain_longer_than_a_page_is_walked_to_its_end(ledger: AuditLedger, tmp_path: Path) -> None:
    fill(ledger, 1)
    more = """
        WITH RECURSIVE next(seq) AS (SELECT 2 UNION ALL SELECT seq + 1 FROM next WHERE seq < 5100)
        INSERT INTO audit SELECT next.seq, at, actor, action, resource, reason, facts, previous, digest
        FROM next, audit
    """
    tamper(tmp_path, lambda connection: (connection.execute(more), rewrite(connection, 1)))
    assert ledger.verify().broken is None
    assert ledger.verify().records == 5_100


@pytest.mark.parametrize(("action", "resource"), [("", "late@2"), ("model.promote", "")])
def test_a_record_without_a_name_is_refused(ledger: AuditLedger, action: str, resource: str) -> None:
    with pytest.raises(BadInput, match="action and a resource"):
        ledger.record(action, resource)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET reason = 'other' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "INSERT INTO audit VALUES (9, 1, 'eve', 'a', 'r', '', '{}', '', '')",
        "REPLACE INTO audit VALUES (1, 1, 'eve', 'a', 'r', '', '{}', '', '')",
    ],
)
def test_the_database_itself_refuses_everything_but_the_next_record(
    ledger: AuditLedger, tmp_path: Path, statement: str
) -> None:
    fill(ledger, 3)
    with (
        closing(sqlite3.connect(tmp_path / "audit.db")) as connection,
        pytest.raises(sqlite3.IntegrityError, match="only grows"),
    ):
        connection.execute(statement)
    assert ledger.verify().is_whole


def test_events_are_the_newest_in_their_order_by_time_and_resource(tmp_path: Path) -> None:
    clock = SimulatedClock(start=MORNING)
    ledger = AuditLedger(f"sqlite:{tmp_path}/audit.db", clock, "ana")
    for number in range(6):
        ledger.record("data.append", f"flights@{number % 2}")
        clock.advance(timedelta(hours=1))
    assert [event.seq for event in ledger.events(limit=3)] == [4, 5, 6]
    assert [event.seq for event in ledger.events(resource="flights@1")] == [2, 4, 6]
    assert [event.seq for event in ledger.events(since=MORNING + timedelta(hours=4))] == [5, 6]
    assert ledger.events()[0].at == MORNING
    with pytest.raises(NaiveTime):
        ledger.events(since=datetime(2013, 7, 1))  # noqa: DTZ001 - a time without a zone is what is tried


def test_an_event_whose_facts_are_no_json_is_corrupt(ledger: AuditLedger, tmp_path: Path) -> None:
    fill(ledger, 1)
    tamper(tmp_path, sql("UPDATE audit SET facts = 'none'"))
    with pytest.raises(CorruptArtifact, match="audit record 1"):
        ledger.events()


def test_a_changed_record_is_named(ledger: AuditLedger, tmp_path: Path) -> None:
    fill(ledger, 5)
    tamper(tmp_path, sql("UPDATE audit SET actor = 'eve' WHERE seq = 3"))
    found = ledger.verify()
    assert found.records == 2
    assert found.broken is not None
    assert found.broken.seq == 3
    assert "changed after it was written" in found.broken.reason


def test_a_text_that_is_not_utf8_any_more_is_named(ledger: AuditLedger, tmp_path: Path) -> None:
    fill(ledger, 3)
    tamper(tmp_path, sql("UPDATE audit SET reason = CAST(x'ff' AS TEXT) WHERE seq = 2"))
    broken = ledger.verify().broken
    assert broken is not None
    assert broken.seq == 2


def test_two_swapped_records_are_named_as_reordered(ledger: AuditLedger, tmp_path: Path) -> None:
    fill(ledger, 5)
    tamper(tmp_path, swap(2, 4))
    broken = ledger.verify().broken
    assert broken is not None
    assert (broken.seq, "was written as record 4" in broken.reason) == (2, True)


def test_a_cut_tail_is_seen_by_the_checkpoint(ledger: AuditLedger, tmp_path: Path) -> None:
    fill(ledger, 5)
    tamper(tmp_path, sql("DELETE FROM audit WHERE seq > 3"))
    broken = ledger.verify().broken
    assert broken is not None
    assert (broken.seq, "checkpoint counts 5" in broken.reason) == (4, True)


def test_records_after_a_cut_tail_do_not_hide_the_cut(ledger: AuditLedger, tmp_path: Path) -> None:
    fill(ledger, 5)
    tamper(tmp_path, sql("DELETE FROM audit WHERE seq > 3"))
    ledger = open_ledger(tmp_path)
    fill(ledger, 4)
    broken = ledger.verify().broken
    assert broken is not None
    assert (broken.seq, "history was rewritten" in broken.reason) == (5, True)


def test_a_history_that_was_sealed_anew_is_seen_by_the_checkpoint(
    ledger: AuditLedger, tmp_path: Path
) -> None:
    fill(ledger, 5)
    tamper(tmp_path, lambda connection: rewrite(connection, 2, actor="eve"))
    broken = ledger.verify().broken
    assert broken is not None
    assert (broken.seq, "history was rewritten" in broken.reason) == (5, True)


@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_checkpoint_that_is_gone_or_spoilt_is_a_break(
    ledger: AuditLedger, tmp_path: Path, content: bytes | None
) -> None:
    fill(ledger, 2)
    path = tmp_path / "audit.db.checkpoint"
    path.unlink() if content is None else path.write_bytes(content)
    broken = open_ledger(tmp_path).verify().broken
    assert broken is not None
    assert (broken.seq, "checkpoint" in broken.reason) == (3, True)


def test_a_kill_between_record_and_checkpoint_is_no_break_and_heals(
    ledger: AuditLedger, tmp_path: Path
) -> None:
    fill(ledger, 2)
    path = tmp_path / "audit.db.checkpoint"
    before = path.read_bytes()
    fill(ledger, 1)
    path.write_bytes(before)
    assert ledger.verify().is_whole
    open_ledger(tmp_path)
    assert json.loads(path.read_bytes())["records"] == 3


KINDS = st.sampled_from(["change", "drop", "insert", "swap", "cut", "reseal one", "reseal all", "duplicate"])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The folder of a ledger with so many records, to be copied."""

    kept = []  # a ledger that is forgotten is closed, and a closing database moves its files

    @cache
    def folder_of(count: int) -> Path:
        folder = tmp_path_factory.mktemp("filled")
        kept.append(open_ledger(folder))
        fill(kept[-1], count)
        return folder

    return folder_of


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=KINDS, data=st.data())
def test_every_tampering_is_detected_and_located(
    kind: str,
    data: st.DataObject,
    filled: Callable[[int], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    count = data.draw(st.integers(2, 7))
    folder = tmp_path_factory.mktemp("ledger") / "copy"
    shutil.copytree(filled(count), folder, ignore=shutil.ignore_patterns("*-shm"))
    ledger = open_ledger(folder)
    assert ledger.verify().is_whole
    at = data.draw(st.integers(1, count))
    expected = at
    if kind == "change":
        tamper(folder, changed_field(data, at))
    elif kind == "drop":
        tamper(folder, sql("DELETE FROM audit WHERE seq = ?", at))
    elif kind == "cut":
        tamper(folder, sql("DELETE FROM audit WHERE seq >= ?", at))
    elif kind == "swap":
        other = data.draw(st.integers(1, count).filter(lambda seq: seq != at))
        expected = min(at, other)
        tamper(folder, swap(at, other))
    elif kind == "reseal one":  # a record forged with its own digest shows at the link after it
        tamper(folder, lambda connection: reseal_one(connection, at))
        expected = min(at + 1, count)
    elif kind == "reseal all":
        tamper(folder, lambda connection: rewrite(connection, at, actor="eve"))
        expected = count
    elif kind == "duplicate":  # the copy stands where its original stood: the original is the one too many
        tamper(folder, lambda connection: inserted(connection, at, is_copy=True))
        expected = at + 1
    else:
        tamper(folder, lambda connection: inserted(connection, at, is_copy=False))
    found = ledger.verify()
    assert found.broken is not None, kind
    assert found.broken.seq == expected, found


def changed_field(data: st.DataObject, at: int) -> Callable[[sqlite3.Connection], object]:
    name = data.draw(st.sampled_from(FIELDS))
    value = data.draw(st.integers(-(2**62), 2**62) if name == "at" else st.text(max_size=70))
    spoil = "at + 1" if name == "at" else f"{name} || 'x'"  # when the drawn value is what stands there

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(
            f"UPDATE audit SET {name} = CASE WHEN {name} = ? THEN {spoil} ELSE ? END WHERE seq = ?",
            (value, value, at),
        )

    return change


def reseal_one(connection: sqlite3.Connection, at: int) -> None:
    kept = connection.execute("SELECT * FROM audit WHERE seq > ?", (at,)).fetchall()
    rewrite(connection, at, reason="forged")
    connection.execute("DELETE FROM audit WHERE seq > ?", (at,))
    connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", kept)


def inserted(connection: sqlite3.Connection, at: int, *, is_copy: bool) -> None:
    """Make room at `at` and put a forged record, or a copy of the one that stood there, into it."""
    connection.execute("UPDATE audit SET seq = -seq - 1 WHERE seq >= ?", (at,))
    connection.execute("UPDATE audit SET seq = -seq WHERE seq < 0")
    source = "at, actor, action, resource, reason, facts, previous, digest"
    if not is_copy:
        source = "at, 'eve', action, resource, reason, facts, previous, digest"
    connection.execute(f"INSERT INTO audit SELECT ?, {source} FROM audit WHERE seq = ?", (at, at + 1))


APPENDER = """
import sys
from esteira.base.clock import SystemClock
from esteira.governance.ledger import AuditLedger
ledger = AuditLedger(sys.argv[1], SystemClock(), actor=sys.argv[2])
for number in range(int(sys.argv[3])):
    ledger.record("data.append", f"flights@{number}")
"""


def test_several_processes_append_without_holes(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/audit.db"
    command = [sys.executable, "-c", APPENDER, url]
    running = [subprocess.Popen([*command, name, "40"], env=os.environ) for name in ("a", "b", "c")]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    ledger = AuditLedger(url, SystemClock(), "ana")
    assert ledger.verify().records == 120
    assert ledger.verify().is_whole
    events = ledger.events(limit=1_000)
    assert [event.seq for event in events] == [*range(1, 121)]
    assert {event.actor for event in events} == {"a", "b", "c"}
    assert json.loads((tmp_path / "audit.db.checkpoint").read_bytes())["records"] == 120


def test_a_killed_appender_leaves_a_whole_ledger(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/audit.db"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", APPENDER, url, "a", "1000000"], env=os.environ)
        ledger = AuditLedger(url, SystemClock(), "ana")
        before = ledger.verify().records
        while ledger.verify().records < before + 20:
            assert process.poll() is None
        process.kill()
        process.wait()
        assert ledger.verify().is_whole
        assert ledger.record("data.append", "flights@1").seq == ledger.verify().records
