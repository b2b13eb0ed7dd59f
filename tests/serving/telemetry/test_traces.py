from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.telemetry.exchanges import exchange

from esteira.base.errors import BadInput
from esteira.serving.telemetry.traces import Parent, Traces, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_every_header_of_the_standard_is_understood(trace: int, span: int, flags: int) -> None:
    header = f"00-{trace:032x}-{span:016x}-{flags:02x}"
    assert parse_traceparent(header) == Parent(trace, span, bool(flags & 1))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_no_header_of_the_standard_begins_a_new_trace(header: str) -> None:
    assert parse_traceparent(header) is None


def test_a_later_version_may_append_fields() -> None:
    found = parse_traceparent(f"01-{TRACE}-{SPAN}-01-later")
    assert found == Parent(int(TRACE, 16), int(SPAN, 16), is_sampled=True)


@given(st.text(max_size=80))
def test_no_text_whatever_breaks_the_parser(header: str) -> None:
    found = parse_traceparent(header)
    assert found is None or found.trace > 0


def test_the_caller_decides_for_its_own_traces() -> None:
    traces = Traces(1e-12)
    traces.answered(exchange(traceparent=f"00-{TRACE}-{SPAN}-01"))
    traces.answered(exchange(traceparent=f"00-{TRACE}-{SPAN}-00"))
    assert [each.parent for each in traces.take(9)] == [
        Parent(int(TRACE, 16), int(SPAN, 16), is_sampled=True)
    ]


def test_of_the_others_a_share_is_traced() -> None:
    all_of_them, some = Traces(1.0), Traces(0.25)
    for _ in range(4000):
        all_of_them.answered(exchange())
        some.answered(exchange(traceparent="nonsense"))
    assert len(all_of_them.take(5000)) == 4000
    assert 800 < len(some.take(5000)) < 1200


def test_beyond_its_room_spans_are_dropped_and_counted() -> None:
    traces = Traces(1.0, capacity=2)
    for _ in range(5):
        traces.answered(exchange())
    traces.close()
    assert (traces.dropped, len(traces.take(1)), len(traces.take(9))) == (3, 1, 1)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), 0.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(BadInput, match="share between 0 and 1"):
        Traces(share)
