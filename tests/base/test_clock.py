from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.clock import ClockContract

from esteira.base.clock import SimulatedClock, SystemClock, from_micros, open_clock, parse_time, to_micros
from esteira.base.errors import BadInput, NaiveTime, StorageUnwritable, UnknownScheme

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.ports import Clock

NEW_YEAR = datetime(2013, 1, 1, tzinfo=UTC)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NAIVE = NEW_YEAR.replace(tzinfo=None)
CENTURY = timedelta(days=36_525)
moments = st.datetimes(NAIVE - CENTURY, NAIVE + CENTURY, timezones=offsets)


class TestSystemClock(ClockContract):
    def open(self) -> Clock:
        return open_clock("system:")


class TestSimulatedClock(ClockContract):
    def open(self) -> Clock:
        return SimulatedClock(start=NEW_YEAR)


class TestSimulatedClockInAFile(ClockContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.url = f"simulated:{tmp_path}/clock"

    def open(self) -> Clock:
        return open_clock(self.url)


@given(moments)
def test_a_moment_survives_the_way_to_microseconds_and_back(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment


@given(moments, moments)
def test_microseconds_keep_the_order_of_moments_in_any_zone(one: datetime, other: datetime) -> None:
    assert (one < other) == (to_micros(one) < to_micros(other))


@given(moments)
def test_a_written_time_reads_as_the_same_moment_in_utc(moment: datetime) -> None:
    read = parse_time(moment.isoformat())
    assert read == moment
    assert read.tzinfo is UTC


def test_a_time_without_zone_is_refused_and_named() -> None:
    with pytest.raises(NaiveTime, match="departure has no time zone"):
        to_micros(NAIVE, "departure")
    with pytest.raises(NaiveTime, match="2013-01-01T00:00:00"):
        parse_time("2013-01-01T00:00:00")


def test_a_text_that_is_no_time_is_refused_with_an_example() -> None:
    with pytest.raises(BadInput, match=r"'yesterday' is not an ISO 8601 time; write e\.g\."):
        parse_time("yesterday", "since")


def test_a_time_that_utc_cannot_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="lies outside the years 1 to 9999 in UTC"):
        parse_time("0001-01-01T00:00:00+05:00", "since")


def test_the_system_clock_tells_the_machines_time() -> None:
    before = datetime.now(UTC)
    assert before <= SystemClock().now() <= before + timedelta(seconds=5)


def test_a_simulated_clock_stands_still_until_it_is_advanced() -> None:
    clock = SimulatedClock(start=NEW_YEAR)
    assert clock.now() == clock.now() == NEW_YEAR
    clock.advance(timedelta(minutes=15))
    assert clock.now() == NEW_YEAR + timedelta(minutes=15)


def test_a_simulated_clock_does_not_go_backwards() -> None:
    clock = SimulatedClock(start=NEW_YEAR)
    with pytest.raises(BadInput, match="goes forward only"):
        clock.set(NEW_YEAR - timedelta(microseconds=1))
    assert clock.now() == NEW_YEAR


def test_a_simulated_clock_refuses_a_time_without_zone() -> None:
    with pytest.raises(NaiveTime):
        SimulatedClock().set(NAIVE)


def test_every_process_that_opens_the_file_sees_one_time(tmp_path: Path) -> None:
    url = f"simulated:{tmp_path}/deep/clock"
    ours = SimulatedClock(url, start=NEW_YEAR)
    advance = (
        "import sys; from datetime import timedelta; from esteira.base.clock import SimulatedClock; "
        "SimulatedClock(sys.argv[1]).advance(timedelta(days=1))"
    )
    subprocess.run([sys.executable, "-c", advance, url], check=True)
    assert ours.now() == NEW_YEAR + timedelta(days=1)


def test_a_start_does_not_move_a_clock_that_already_runs(tmp_path: Path) -> None:
    url = f"simulated:{tmp_path}/clock"
    SimulatedClock(url, start=NEW_YEAR).advance(timedelta(days=30))
    assert SimulatedClock(url, start=NEW_YEAR).now() == NEW_YEAR + timedelta(days=30)


def test_a_place_that_cannot_hold_the_clock_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "clock", tmp_path):
        with pytest.raises(StorageUnwritable, match="choose another folder"):
            open_clock(f"simulated:{place}")


def test_the_url_may_say_when_a_new_clock_starts(tmp_path: Path) -> None:
    url = f"simulated:{tmp_path}/clock?start=2013-01-01T00:00:00Z"
    assert open_clock(url).now() == NEW_YEAR
    assert [each.name for each in tmp_path.iterdir()] == ["clock"]
    with pytest.raises(BadInput, match="the start of the simulated clock 'soon'"):
        open_clock(f"simulated:{tmp_path}/other?start=soon")


def test_a_clock_nobody_knows_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownScheme, match="simulated, system"):
        open_clock("sundial:")
