from __future__ import annotations

import pyarrow as pa
import pytest
from tests.serving.worlds import KeptPushes

from esteira.base.errors import NotFound
from esteira.monitoring.push_log import Push
from esteira.serving.pushes import Pushes, PushTable, PushTables

READINGS = PushTable(
    "readings", pa.schema({"at": pa.timestamp("us", "UTC"), "x": pa.float64()}), ("at",), "at"
)
EVENTS = PushTable("events", pa.schema({"marks": pa.list_(pa.decimal128(5, 2))}))


@pytest.fixture
def url(state_url: str) -> str:
    return state_url


def test_what_is_published_is_what_another_process_finds(url: str) -> None:
    PushTables(url).publish([READINGS, EVENTS])
    assert PushTables(url).all() == {"events": EVENTS, "readings": READINGS}


def test_what_is_published_later_replaces_all_of_it(url: str) -> None:
    tables = PushTables(url)
    tables.publish([READINGS, EVENTS])
    tables.publish([EVENTS])
    assert [*tables.all()] == ["events"]
    tables.publish([])
    assert tables.all() == {}


def test_a_gateway_follows_what_is_published(url: str) -> None:
    pushes, publisher = Pushes(PushTables(url), KeptPushes()), PushTables(url)
    pushes.follow()
    with pytest.raises(NotFound, match="none; declare a TableSource without `read`"):
        pushes.table("readings")
    publisher.publish([READINGS])
    pushes.follow()
    assert pushes.table("readings") == READINGS


def test_a_look_at_which_nothing_was_published_reads_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = PushTables(url)
    PushTables(url).publish([READINGS])
    pushes = Pushes(tables, KeptPushes())
    pushes.follow()
    monkeypatch.setattr(tables, "all", lambda: pytest.fail("read again"))
    pushes.follow()


def test_rows_go_to_the_log_until_it_is_closed(url: str) -> None:
    sink = KeptPushes()
    pushes, push = Pushes(PushTables(url), sink), Push("a7", pa.table({"x": [1.0]}))
    pushes.keep("readings", push)
    pushes.close()
    assert (sink.records, sink.is_closed) == ([("readings", push)], True)
