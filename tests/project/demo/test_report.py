from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.project.worlds import answer, rehearsal_of

from esteira.monitoring.labels import join_labels
from esteira.project.demo.report import report
from esteira.project.ingesting import ingest_new
from esteira.project.release import deploy
from esteira.training.evaluation import evaluate

if TYPE_CHECKING:
    from esteira.project.station import Station


def test_without_a_promotion_the_ring_is_the_first_model(station: Station) -> None:
    asked = answer(station, 2)
    ingest_new(station, station.clock.now())
    found = report(station, rehearsal_of(station))
    assert found.predictions == asked
    assert 0 < found.labelled < asked
    assert (found.versions, found.promoted) == (1, 0)
    assert found.everything.rows == found.labelled
    assert found.everything.ring == found.everything.frozen
    assert found.since_promotion is None
    assert found.parity.differing == 0
    assert (found.latency_p50, found.latency_p99) == (1e-4, 1e-4)


def test_a_repeated_prediction_counts_once(station: Station) -> None:
    asked = answer(station, 1)
    station.tables.append("predictions", station.tables.read("predictions").slice(0, 10))
    assert report(station, rehearsal_of(station)).predictions == asked


def test_a_promotion_without_answers_since_has_nothing_to_compare(two: Station) -> None:
    answer(two, 1)
    deploy(two, 2, "at the very end")
    found = report(two, rehearsal_of(two))
    assert (found.versions, found.promoted) == (2, 1)
    assert found.since_promotion is None


@pytest.mark.slow
def test_the_gain_is_measured_on_the_same_rows_since_the_promotion(played: Station) -> None:
    found = report(played, rehearsal_of(played))
    assert found.predictions == 15 * 96
    assert (found.versions, found.promoted) == (3, 1)
    later = found.since_promotion
    assert later is not None
    assert later.rows < found.everything.rows == found.labelled
    losses = {
        who: {m.metric: m.value for m in measured}["log_loss"]
        for who, measured in (("ring", later.ring), ("frozen", later.frozen))
    }
    assert losses["ring"] < losses["frozen"] - 0.5  # nats: the first model is confidently wrong by then
    assert found.parity.differing == 0
    assert 0 < found.latency_p50 < found.latency_p99


@pytest.mark.slow
def test_the_figures_are_those_of_the_tables(played: Station) -> None:
    rows = join_labels(played.tables.read("predictions"), played.tables.read("labels"))
    labelled = rows.filter(pc.is_valid(rows["label"]))
    found = report(played, rehearsal_of(played))
    expected = evaluate(labelled["label"].to_numpy(), labelled["score"].to_numpy())
    assert found.everything.ring == expected
    assert found.latency_p99 == pytest.approx(np.quantile(rows["latency"].to_numpy(), 0.99))
    assert isinstance(rows, pa.Table)
