from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from esteira.base.databases import open_database
from esteira.project.observations import Observation, Observations

DAY = timedelta(days=1)
START = datetime(2013, 7, 1, tzinfo=UTC)
SEEN = Observation("performance", "roc_auc", START, START + DAY, 2, 0.7, 0.6, 0.8, 0.65, 200, 150, "ok")


@pytest.fixture
def kept(state_url: str) -> Observations:
    return Observations(open_database(state_url))


def test_what_was_seen_comes_back_as_it_was(kept: Observations) -> None:
    unknown = replace(SEEN, subject="brier", value=None, low=None, high=None, verdict="not enough data")
    kept.keep([SEEN, unknown])
    assert kept.of("performance") == [unknown, SEEN]  # by end, then subject
    assert kept.of("performance", "roc_auc") == [SEEN]
    assert kept.of("drift") == []


def test_a_number_that_is_none_is_unknown(kept: Observations) -> None:
    kept.keep([replace(SEEN, value=math.nan, high=math.inf)])
    assert kept.of("performance") == [replace(SEEN, value=None, high=math.inf)]


def test_the_same_window_again_replaces_the_first_look(kept: Observations) -> None:
    kept.keep([SEEN])
    later = replace(SEEN, labelled=200, value=0.71)
    kept.keep([later])
    assert kept.of("performance") == [later]


def test_windows_come_oldest_first(kept: Observations) -> None:
    next_day = replace(SEEN, start=START + DAY, end=START + 2 * DAY)
    kept.keep([next_day])
    kept.keep([SEEN])
    assert kept.of("performance") == [SEEN, next_day]


def test_the_newest_end_is_of_a_kind_or_of_one_subject(kept: Observations) -> None:
    assert kept.last_end("performance") is None
    kept.keep([SEEN, replace(SEEN, subject="brier", end=START + 3 * DAY)])
    assert kept.last_end("performance") == START + 3 * DAY
    assert kept.last_end("performance", "roc_auc") == START + DAY
    assert kept.last_end("performance", "log_loss") is None


def test_maturity_is_the_labelled_share(kept: Observations) -> None:
    assert SEEN.maturity == 0.75
    assert replace(SEEN, rows=0, labelled=0).maturity == 0.0
