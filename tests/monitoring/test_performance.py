from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, NaiveTime, UnknownName
from esteira.monitoring.metrics import METRICS, log_loss, roc_auc
from esteira.monitoring.performance import WindowPerformance, measure

START = datetime(2013, 4, 1, tzinfo=UTC)
END = START + timedelta(days=7)
ROWS = 1000


def _joined(labelled: int = ROWS, *, at: datetime = START, seed: int = 0, positives: float = 0.3) -> pa.Table:
    """Rows of one window, of which the first `labelled` have labels that the scores know something of."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(ROWS) < positives).astype(np.float64)
    scores = np.clip(0.3 + 0.3 * (labels - 0.3) + 0.2 * rng.normal(size=ROWS), 0.01, 0.99)
    return pa.table(
        {
            "at": pa.array([at] * ROWS, pa.timestamp("us", tz="UTC")),
            "score": scores,
            "label": pa.array(labels, mask=np.arange(ROWS) >= labelled),
        }
    )


def _measure(joined: pa.Table, **asked: Any) -> WindowPerformance:
    usual = {
        "metric": "roc_auc",
        "start": START,
        "end": END,
        "baseline": 0.7,
        "tolerance": 0.0,
        "minimum": 100,
    }
    return measure(joined, **{**usual, **asked})


def test_the_metric_is_that_of_the_labelled_rows() -> None:
    joined = _joined(400)
    labels, scores = joined["label"].to_numpy()[:400], joined["score"].to_numpy()[:400]
    found, expected = _measure(joined), roc_auc(labels, scores)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert (found.rows, found.labelled, found.maturity) == (ROWS, 400, 0.4)


def test_a_window_holds_its_start_and_not_its_end() -> None:
    joined = pa.concat_tables(
        [
            _joined(at=START),
            _joined(at=END - timedelta(microseconds=1)),
            _joined(at=END),
            _joined(at=END + END.resolution),
        ]
    )
    assert _measure(joined).rows == 2 * ROWS
    assert _measure(joined, start=END, end=END + timedelta(days=1)).rows == 2 * ROWS


@given(st.sampled_from(sorted(METRICS)), st.floats(0, 1), st.floats(0, 0.2))
def test_worse_is_said_only_when_the_whole_interval_is_beyond_the_tolerance(
    metric: str, baseline: float, tolerance: float
) -> None:
    found = _measure(JOINED, metric=metric, baseline=baseline, tolerance=tolerance)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    is_worse = found.high < baseline - tolerance if metric == "roc_auc" else found.low > baseline + tolerance
    assert found.verdict == ("worse" if is_worse else "ok")
    assert (found.excess > 0) == is_worse


JOINED = _joined()


def test_better_than_the_baseline_is_not_worse() -> None:
    assert _measure(JOINED, baseline=0.5).verdict == "ok"
    assert _measure(JOINED, metric="log_loss", baseline=5.0).verdict == "ok"


def test_a_lower_figure_is_worse_or_better_as_the_metric_has_it() -> None:
    value = log_loss(JOINED["label"].to_numpy(), JOINED["score"].to_numpy()).value
    assert _measure(JOINED, metric="log_loss", baseline=value / 2).verdict == "worse"
    assert _measure(JOINED, baseline=0.99).verdict == "worse"
    assert _measure(JOINED).higher_is_better
    assert not _measure(JOINED, metric="brier").higher_is_better


def test_the_limit_stands_on_the_side_that_is_worse() -> None:
    assert _measure(JOINED, baseline=0.7, tolerance=0.05).limit == pytest.approx(0.65)
    assert _measure(JOINED, metric="brier", baseline=0.2, tolerance=0.05).limit == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("joined", "asked"),
    [
        (_joined(99), {}),
        (_joined(0), {}),
        (_joined(0), {"minimum": 0}),
        (_joined(at=END), {}),
        (_joined().slice(0, 0), {"minimum": 0}),
        (_joined(positives=0.0), {}),
        (_joined(positives=1.0), {"metric": "brier"}),
        (_joined(400), {"maturity": 0.5}),
    ],
    ids=[
        "few labels",
        "no label",
        "none asked for",
        "no row",
        "no table",
        "all in time",
        "all late",
        "unripe",
    ],
)
def test_without_enough_labels_the_answer_is_not_enough_data(joined: pa.Table, asked: dict[str, Any]) -> None:
    found = _measure(joined, baseline=0.99, **asked)
    assert found.verdict == "not enough data"
    assert (found.value, found.low, found.high, found.excess) == (None, None, None, 0.0)


def test_a_window_without_rows_has_no_maturity() -> None:
    assert _measure(_joined().slice(0, 0)).maturity == 0.0


def test_a_window_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="end after it starts"):
        _measure(JOINED, end=START)
    with pytest.raises(NaiveTime):
        _measure(JOINED, start=START.replace(tzinfo=None))
    with pytest.raises(UnknownName, match="roc_auc"):
        _measure(JOINED, metric="roc_acu")
