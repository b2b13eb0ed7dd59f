"""A project: one line from data to a watched model in production, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput, UnknownName
from esteira.data.checks import BatchCheck
from esteira.data.ingestion import quarantine_of
from esteira.monitoring.failure_log import FAILURES, SHADOW_FAILURES
from esteira.monitoring.metrics import metric_named
from esteira.monitoring.prediction_log import LABELS, PREDICTIONS, SHADOWS
from esteira.retraining.policy import RetrainPolicy
from esteira.serving.rollout.strategies import Canary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import pyarrow as pa

    from esteira.data.checks import Check
    from esteira.features.views import FeatureView
    from esteira.pipelines.step import Step
    from esteira.serving.rollout.plan import RolloutPlan
    from esteira.training.gates import Gate


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where a table's rows come from and what they must satisfy.

    `read(since, until)` returns the rows published in (since, until], each with its `published` time.
    With a `schema` they must have its columns, and a table from before gets those that it lacks; without
    one the first rows decide.

    Without `read` its rows are pushed: `POST /push/NAME` at the gateway takes them in that schema, and each
    that leaves out its `published` time, if there is such a column, gets that of its arrival.
    Raises: BadInput (no `read` and no schema, or a check that only a whole batch can pass).
    """

    name: str
    read: Callable[[datetime, datetime], pa.Table] | None = None
    checks: Sequence[Check] = ()
    published: str = "published_at"
    schema: pa.Schema | None = None

    def __post_init__(self) -> None:
        if self.read is not None:
            return
        if self.schema is None:
            raise BadInput(f"table {self.name!r} needs a `read`, or a `schema` of what is pushed to it")
        for check in self.checks:
            if isinstance(check, BatchCheck):
                what = f"{type(check).__name__}, which judges whole batches"
                raise BadInput(f"rows are pushed to table {self.name!r} as they come; drop {what}")


@dataclass(frozen=True, slots=True)
class DriftMonitor:
    """Watches the inputs of the model; the one knob is how many false alarms are bearable."""

    false_alarms: float
    per: timedelta
    window: timedelta
    minimum: int


@dataclass(frozen=True, slots=True)
class PerformanceMonitor:
    """Watches a metric on labelled predictions against what the champion showed when it was gated."""

    metric: str
    window: timedelta
    tolerance: float
    minimum: int


def drift(
    *,
    false_alarms: float = 1,
    per: timedelta = timedelta(days=90),
    window: timedelta = timedelta(days=7),
    minimum: int = 500,
) -> DriftMonitor:
    """Alarm when an input's distribution moved; `false_alarms` expected `per` period when nothing moves.

    >>> drift(false_alarms=1).window.days
    7
    """
    return DriftMonitor(false_alarms, per, window, minimum)


def performance(
    metric: str, *, window: timedelta = timedelta(days=7), tolerance: float = 0.02, minimum: int = 500
) -> PerformanceMonitor:
    """Alarm when `metric` is worse than at the gate by more than `tolerance`, with its interval.

    Raises: UnknownName.
    >>> performance("roc_auc").metric
    'roc_auc'
    """
    metric_named(metric)
    return PerformanceMonitor(metric, window, tolerance, minimum)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Past questions and their answers, to replay against the gateway as if they came today."""

    questions: Callable[[], pa.Table]  # ascending in `at`: the id, the request's fields and the keys
    id: str  # the column that names a question, here and among the answers
    at: str  # the column that says when it was asked
    answers: str  # the table whose rows, when published, bring the label
    outcome: str  # the column of the answers that is the label
    observed: str  # the column of the answers that says when it became true
    step: timedelta  # sources publish and questions are asked at whole steps


@dataclass(frozen=True)
class Project:
    """Everything that a team declares about one model; without steps, about features alone.

    A step's parameter named like another step, a table or a view is that thing; the rest are parameters.
    `model` names the step that returns the Model, `holdout` the step whose rows the gates judge, which no
    model has trained on. Raises: BadInput, UnknownName.
    """

    name: str
    steps: Sequence[Step[..., Any]]
    tables: Sequence[TableSource] = ()
    views: Sequence[FeatureView] = ()
    gates: Sequence[Gate] = ()
    rollout: RolloutPlan = field(default_factory=Canary)
    monitors: Sequence[DriftMonitor | PerformanceMonitor] = ()
    retrain: RetrainPolicy = field(default_factory=RetrainPolicy)
    model: str = "model"
    baseline: str = ""  # a step that returns the simpler Model that the gates may compare with
    holdout: str = "holdout"
    training_set: str = "train"  # the rows that the model was fitted on: the reference for drift
    rehearsal: Rehearsal | None = None
    time: str = "asked_at"  # the column of those rows that says when each question was asked

    def __post_init__(self) -> None:
        if not self.name or any(c not in _NAME for c in self.name):
            raise BadInput(f"project name {self.name!r} may hold only letters, digits, '-' and '_'")
        known = [each.name for each in self.steps]
        for role in (self.model, self.holdout, self.training_set, self.baseline):
            if role and known and role not in known:  # without steps there are features alone, and no model
                raise UnknownName("step", role, known)
        self._check_tables()
        _refuse_doubled("view", [view.qualified for view in self.views])
        # Windows are counted on from the last one that was judged, by what is watched.
        watched = [m.metric if isinstance(m, PerformanceMonitor) else "drift" for m in self.monitors]
        _refuse_doubled("monitor of", watched)

    def _check_tables(self) -> None:
        sources = [table.name for table in self.tables]
        _refuse_doubled("table", sources)
        for name in sources:
            if name in LOGS or name.endswith(quarantine_of("")):
                raise BadInput(f"table {name!r} would be one that the ring keeps itself; choose another name")
        for view in self.views:
            if view.source not in sources:
                raise UnknownName(f"table (source of view {view.name!r})", view.source, sources)
        if self.rehearsal is not None and self.rehearsal.answers not in sources:
            raise UnknownName("table (answers of the rehearsal)", self.rehearsal.answers, sources)


_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
LOGS = (PREDICTIONS, LABELS, SHADOWS, FAILURES, SHADOW_FAILURES)  # tables that the gateway's logs become


def _refuse_doubled(kind: str, names: Sequence[str]) -> None:
    doubled = [name for at, name in enumerate(names) if name in names[:at]]
    if doubled:
        raise BadInput(f"two are the {kind} {doubled[0]!r}; drop or rename one")
