from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.worlds import NOON, World

from esteira.base.clock import to_micros
from esteira.base.errors import StorageUnwritable
from esteira.serving.pushes import PushTable

if TYPE_CHECKING:
    from pathlib import Path

TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    {
        "event_ts": TIME,
        "pump": pa.string(),
        "load": pa.float64(),
        "small": pa.int8(),
        "is_on": pa.bool_(),
        "day": pa.date32(),
        "price": pa.decimal128(5, 2),
        "blob": pa.binary(),
        "marks": pa.list_(pa.field("element", pa.float32())),
        "a name, with spaces": pa.int64(),
        "published_at": TIME,
    }
)
AT = "2013-07-01T08:00:00-03:00"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.push_tables.publish([PushTable("readings", SCHEMA, ("event_ts",), "published_at")])
    world.gateway.pushes.follow()
    return world


def post(world: World, *rows: object, table: str = "readings", **more: object) -> tuple[int, Any]:
    response = world.post(f"/push/{table}", json.dumps({"rows": rows, **more}).encode())
    return response.status, json.loads(response.body)


def test_rows_are_kept_in_the_tables_schema_before_they_are_accepted(world: World) -> None:
    row = {
        "event_ts": AT,
        "pump": "p7",
        "load": 1,
        "small": -128,
        "is_on": True,
        "day": "2013-07-01",
        "price": "1.25",
        "blob": base64.b64encode(b"\x00x").decode(),
        "marks": [0.5, None],
        "a name, with spaces": 2**63 - 1,
        "published_at": to_micros(NOON),
    }
    assert post(world, row, {"event_ts": 5}, token="a7") == (202, {"accepted": 2, "token": "a7"})
    ((table, push),) = world.pushed.records
    assert (table, push.token) == ("readings", "a7")
    assert push.rows.schema == SCHEMA
    first, second = push.rows.to_pylist()
    assert first == row | {
        "event_ts": NOON - timedelta(hours=1),
        "day": date(2013, 7, 1),
        "price": Decimal("1.25"),
        "blob": b"\x00x",
        "published_at": NOON,
    }
    assert second["event_ts"] == datetime(1970, 1, 1, 0, 0, 0, 5, UTC)
    assert {name for name, value in second.items() if value is not None} == {"event_ts", "published_at"}


def test_a_row_without_its_time_of_publishing_gets_that_of_its_arrival(world: World) -> None:
    early = NOON - timedelta(days=1)
    post(world, {"event_ts": AT}, {"event_ts": AT, "published_at": early.isoformat()})
    assert world.pushed.records[0][1].rows["published_at"].to_pylist() == [NOON, early]


def test_a_push_without_token_gets_one_of_its_own(world: World) -> None:
    tokens = {post(world, {"event_ts": AT})[1]["token"] for _ in range(3)}
    assert tokens == {push.token for _, push in world.pushed.records}
    assert len(tokens) == 3


def test_no_rows_are_accepted_too_and_nothing_is_kept(world: World) -> None:
    assert post(world, token="a7") == (202, {"accepted": 0, "token": "a7"})
    assert world.pushed.records == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "missing required field `event_ts` - at `$.rows[1]`"),
        ({"event_ts": None}, "got `null` - at `$.rows[1].event_ts`"),
        ({"event_ts": "2013-07-01T08:00:00"}, "with a timezone component - at `$.rows[1].event_ts`"),
        ({"event_ts": "yesterday"}, "at `$.rows[1].event_ts`"),
        ({"event_ts": 1.5}, "at `$.rows[1].event_ts`"),
        ({"event_ts": 10**18}, "at `$.rows[1].event_ts`"),
        ({"event_ts": 5, "lode": 1}, "unknown field `lode` - at `$.rows[1]`"),
        ({"event_ts": 5, "load": "1"}, "got `str` - at `$.rows[1].load`"),
        ({"event_ts": 5, "load": True}, "got `bool` - at `$.rows[1].load`"),
        ({"event_ts": 5, "load": float("nan")}, "row 1: load must be a finite double"),
        ({"event_ts": 5, "load": float("-inf")}, "row 1: load must be a finite double"),
        ({"event_ts": 5, "small": 128}, "<= 127 - at `$.rows[1].small`"),
        ({"event_ts": 5, "small": 1.5}, "got `float` - at `$.rows[1].small`"),
        ({"event_ts": 5, "a name, with spaces": "x"}, "at `$.rows[1].a name, with spaces`"),
        ({"event_ts": 5, "pump": 7}, "got `int` - at `$.rows[1].pump`"),
        ({"event_ts": 5, "day": "2013-02-30"}, "at `$.rows[1].day`"),
        ({"event_ts": 5, "price": "1.255"}, "row 1: price does not fit decimal128(5, 2)"),
        ({"event_ts": 5, "price": "12345"}, "row 1: price does not fit decimal128(5, 2)"),
        ({"event_ts": 5, "blob": "%"}, "at `$.rows[1].blob`"),
        ({"event_ts": 5, "marks": [0, float("nan")]}, "row 1: marks must be a finite float"),
        ({"event_ts": 5, "marks": [1e39]}, "row 1: marks must be a finite float"),
        ({"event_ts": 5, "marks": ["x"]}, "at `$.rows[1].marks[0]`"),
        ({"event_ts": "0001-01-01T00:00:00+23:00"}, "row 1: event_ts"),
        (7, "at `$.rows[1]`"),
    ],
)
def test_one_wrong_row_is_named_with_its_column_and_none_is_taken(
    world: World, row: object, said: str
) -> None:
    status, answer = post(world, {"event_ts": AT}, row)
    assert status == 400
    assert said in answer["error"]
    assert world.pushed.records == []


@pytest.mark.parametrize("token", ["", "x" * 257, 7])
def test_a_token_that_is_none_is_refused(world: World, token: object) -> None:
    assert post(world, {"event_ts": AT}, token=token)[0] == 400


@pytest.mark.parametrize("body", [b"", b"[]", b'{"rows":', b'{"rows": [], "row": []}', b"\xff"])
def test_a_body_of_another_form_is_refused(world: World, body: bytes) -> None:
    assert world.post("/push/readings", body).status == 400


def test_a_table_that_takes_no_pushes_is_not_found(world: World) -> None:
    status, answer = post(world, {"event_ts": AT}, table="predictions")
    assert status == 404
    assert "there are: readings" in answer["error"]


def test_rows_that_cannot_be_kept_are_not_accepted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageUnwritable("/here", "no space left")

    monkeypatch.setattr(world.pushed, "keep", full)
    status, answer = post(world, {"event_ts": AT})
    assert status == 503
    assert "/here" not in answer["error"]


def test_the_tables_and_their_columns_are_told(world: World) -> None:
    told = json.loads(world.get("/push").body)["tables"]
    assert list(told) == ["readings"]
    assert told["readings"]["columns"]["event_ts"] == "timestamp[us, tz=UTC]"
    assert told["readings"]["required"] == ["event_ts"]


BOUNDS = datetime(2, 1, 1), datetime(9998, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
CELLS = st.fixed_dictionaries(
    {
        "event_ts": st.datetimes(*BOUNDS, timezones=st.just(UTC)),
        "pump": st.none() | st.text(),
        "load": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "small": st.none() | st.integers(-128, 127),
        "a name, with spaces": st.none() | st.integers(-(2**63), 2**63 - 1),
        "marks": st.none() | st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, min_size=1, max_size=8))
def test_what_is_sent_is_what_is_kept(world: World, rows: list[dict[str, Any]]) -> None:
    world.pushed.records.clear()
    sent = [row | {"event_ts": row["event_ts"].isoformat()} for row in rows]
    assert post(world, *sent)[0] == 202
    kept = world.pushed.records[0][1].rows.select([*rows[0]]).to_pylist()
    assert kept == rows
