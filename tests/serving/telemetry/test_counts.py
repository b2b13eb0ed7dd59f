from __future__ import annotations

from esteira.serving.telemetry.counts import Counts
from esteira.serving.telemetry.metrics import Metrics


def test_calls_and_answers_are_counted_under_the_version_that_gave_them() -> None:
    metrics = Metrics()
    counts = Counts(metrics, "late", "3")
    for seconds in (0.001, 0.004):
        counts.predicted(seconds, seconds / 2)
        counts.answered("champion", "oip", 200, seconds * 2)
    counts.answered("pinned", "mlflow", 503, 0.5)
    found = metrics.read()
    assert found["esteira_model_cpu_seconds_total"] == {("late", "3"): [0.0025]}
    assert found["esteira_requests_total"] == {
        ("late", "3", "champion", "oip", "200"): [2.0],
        ("late", "3", "pinned", "mlflow", "503"): [1.0],
    }
    assert found["esteira_predict_duration_seconds"]["late", "3"][-1] == 0.005
    assert found["esteira_request_duration_seconds"]["late", "mlflow"][-1] == 0.5


def test_versions_and_arms_of_one_model_share_what_has_their_labels() -> None:
    metrics = Metrics()
    for version, arm in (("1", "champion"), ("1", "pinned"), ("2", "champion")):
        Counts(metrics, "late", version).answered(arm, "oip", 200, 0.25)
    found = metrics.read()
    assert sum(value for (value,) in found["esteira_requests_total"].values()) == 3.0
    assert found["esteira_request_duration_seconds"]["late", "oip"][-1] == 0.75
