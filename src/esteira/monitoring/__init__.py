"""Watching a model in production: its log, its labels, its performance, its drift, and what alarms."""

from __future__ import annotations

from esteira.monitoring.alerts import AlertMachine, Transition
from esteira.monitoring.drain import Drained, drain
from esteira.monitoring.drift import ColumnDrift, DriftReference, judge
from esteira.monitoring.labels import join_labels
from esteira.monitoring.metrics import (
    METRICS,
    Estimate,
    Metric,
    OneClass,
    WrongScores,
    brier,
    difference,
    log_loss,
    metric_named,
    roc_auc,
)
from esteira.monitoring.performance import WindowPerformance, measure
from esteira.monitoring.prediction_log import LabelLog, PredictionLog, vectors_of

__all__ = [
    "METRICS",
    "AlertMachine",
    "ColumnDrift",
    "Drained",
    "DriftReference",
    "Estimate",
    "LabelLog",
    "Metric",
    "OneClass",
    "PredictionLog",
    "Transition",
    "WindowPerformance",
    "WrongScores",
    "brier",
    "difference",
    "drain",
    "join_labels",
    "judge",
    "log_loss",
    "measure",
    "metric_named",
    "roc_auc",
    "vectors_of",
]
