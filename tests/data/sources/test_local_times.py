from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput
from esteira.data.sources.local_times import Reading, utc
from esteira.data.tables.schema import TIME

NEW_YORK = "America/New_York"
HOUR = timedelta(hours=1)


def column(*values: object, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def iso(*values: object, kind: pa.DataType | None = None, **reading: str) -> list[str | None]:
    found = utc(column(*values, kind=kind), Reading("landed", **reading))
    assert found.type == TIME
    return [None if value is None else f"{value:%m-%d %H:%M}" for value in found.to_pylist()]


def test_texts_with_a_zone_are_what_they_say() -> None:
    assert iso("2013-07-01T10:00Z", "2013-07-01 10:00:00-03:00", "", None) == [
        "07-01 10:00",
        "07-01 13:00",
        None,
        None,
    ]


def test_times_without_a_zone_are_of_the_declared_one() -> None:
    assert iso("2013-07-01 10:00", "2013-01-01 10:00", zone=NEW_YORK) == ["07-01 14:00", "01-01 15:00"]
    naive = pa.timestamp("ms")
    assert iso(datetime(2013, 7, 1, 10), None, kind=naive, zone=NEW_YORK) == ["07-01 14:00", None]  # noqa: DTZ001 - a time without a zone is what is tried
    assert iso("2013-07-01", zone="UTC") == ["07-01 00:00"]


def test_a_zone_does_not_move_times_that_have_one() -> None:
    rome = pa.timestamp("ns", tz="Europe/Rome")
    assert iso(datetime(2013, 7, 1, 10, tzinfo=UTC), kind=rome, zone=NEW_YORK) == ["07-01 10:00"]


@given(st.datetimes(datetime(2012, 1, 1), datetime(2014, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - a time without a zone is what is tried
def test_local_times_are_made_utc_as_the_standard_library_does(moment: datetime) -> None:
    local = moment.astimezone(ZoneInfo(NEW_YORK))
    naive = column(local.replace(tzinfo=None), kind=pa.timestamp("us"))
    one, other = (
        utc(naive, Reading("landed", zone=NEW_YORK, settle=settle))[0].as_py()
        for settle in ("earliest", "latest")
    )
    assert moment in (one, other)
    assert (one == other) == (local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset())


@pytest.mark.parametrize(
    ("value", "said", "earliest", "latest"),
    [
        ("2013-11-03 01:30", "happens twice", "11-03 05:30", "11-03 06:30"),
        ("2013-03-10 02:30", "never happens", "03-10 06:59", "03-10 07:00"),
    ],
)
def test_a_change_of_clocks_is_refused_with_its_row_or_settled(
    value: str, said: str, earliest: str, latest: str
) -> None:
    with pytest.raises(BadInput, match=rf"landed: row 2 '{value}:00' {said} in {NEW_YORK}; .* settle="):
        iso("2013-07-01 10:00", value, zone=NEW_YORK)
    assert iso(value, zone=NEW_YORK, settle="earliest") == [earliest]
    assert iso(value, zone=NEW_YORK, settle="latest") == [latest]


@pytest.mark.parametrize(
    ("values", "reading", "said"),
    [
        (["2013-07-01 10:00"], {}, "landed has no time zone; declare zone="),
        (["2013-07-01T10:00Z", "2013-07-01T11:00"], {}, "row 2 '2013-07-01T11:00' has no time zone, others"),
        (
            ["2013-07-01T10:00", "2013-07-01T11:00Z"],
            {"zone": "UTC"},
            "row 2 .* has a time zone, others",
        ),
        (["2013-07-01", "noon"], {"zone": "UTC"}, "row 2 'noon' is not an ISO 8601 time"),
        ([1], {}, "landed is int64, expected times"),
    ],
)
def test_times_that_cannot_be_told_are_refused(
    values: list[object], reading: dict[str, str], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        iso(*values, **reading)


def test_rows_are_numbered_from_where_the_batch_begins() -> None:
    with pytest.raises(BadInput, match="row 102 'noon'"):
        utc(column("2013-07-01", "noon"), Reading("landed", start=100, zone="UTC"))


def test_what_microseconds_cannot_hold_is_refused() -> None:
    with pytest.raises(BadInput, match=r"loses something .* round it first"):
        iso(1, kind=pa.timestamp("ns", tz="UTC"))
