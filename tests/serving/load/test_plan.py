from __future__ import annotations

import json

import pytest

from esteira.base.errors import BadInput
from esteira.serving.load.plan import Ask, LoadPlan, LoadReport

URL = "http://127.0.0.1:1"
ASKS = (Ask("/"),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://localhost"},
        {"asks": ()},
        {"order": (1,)},
        {"connections": 0},
        {"connections": 100_000},
        {"seconds": 0},
        {"seconds": 1e9},
        {"seconds": float("nan")},
        {"warmup_s": -1},
        {"rate": 0},
        {"rate": float("inf")},
        {"timeout_s": 0},
        {"most_requests": 0},
    ],
)
def test_a_load_without_bounds_is_refused(wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"url": URL, "asks": ASKS, **wrong}
    with pytest.raises(BadInput):
        LoadPlan(**given)


def report() -> LoadReport:
    made = LoadReport(2.0, {200: 8, 429: 3, 500: 1}, {"timeout": 2}, {"no score": 1}, in_window=6, busy_s=1.5)
    made.latency.record([0.1, 0.2])
    made.refusals.record([0.01])
    return made


def test_a_report_says_what_succeeded_was_refused_and_failed() -> None:
    said = report()
    assert (said.succeeded, said.refused, said.failed, said.throughput) == (8, 3, 4, 3.0)
    assert LoadReport().throughput == 0.0


def test_a_report_survives_json() -> None:
    assert (
        LoadReport.from_plain(json.loads(json.dumps(report().to_plain()))).to_plain() == report().to_plain()
    )


def test_reports_of_one_time_add_up() -> None:
    both = report()
    both.merge(report())
    assert both.answers == {200: 16, 429: 6, 500: 2}
    assert both.busy_s == 1.5  # they ran at one time
    assert (both.errors, both.wrong, both.in_window, both.seconds) == (
        {"timeout": 4},
        {"no score": 2},
        12,
        2.0,
    )
    assert (both.latency.count, both.refusals.count) == (4, 2)
