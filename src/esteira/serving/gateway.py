"""One prediction, whatever protocol asks: choose the arm, read the features, score, log.

A request is asked (`ask`), made numbers (`encode`), scored (`Work.score`: the only part that may leave the
event loop's thread, alone or joined with others), and answered (`answer`), which logs it.
"""

from __future__ import annotations

import os
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from esteira.base.errors import BadInput, NotFound
from esteira.base.records import PredictedRows, Prediction
from esteira.monitoring.failure_log import FailedRequest, reason_of
from esteira.serving.mirroring.mirror import Mirror
from esteira.serving.splitting import PINNED, split
from esteira.serving.telemetry.counts import Counts
from esteira.serving.work import ColumnsWork, refuse_many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.base.ports import Clock, PredictionSink
    from esteira.base.records import Label
    from esteira.serving.access.guard import Headers
    from esteira.serving.deployments import Deployments
    from esteira.serving.features import FeatureReads
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.live.routes import LiveRoutes
    from esteira.serving.live.table import LiveModel
    from esteira.serving.pushes import Pushes
    from esteira.serving.telemetry.metrics import Metrics
    from esteira.serving.work import Scored, Work

LONGEST_NAME = 256  # characters of a prediction id or a sticky key


# Ids are to be unique, not secret: drawn here, for a system call would cost more than all the rest of one.
_drawn = Random()
os.register_at_fork(after_in_child=_drawn.seed)  # two workers never draw the same


_NO_HEADERS: Headers = {}
_tuple = tuple.__new__  # a named tuple's own is a function in Python, on the path of every request


class Shadows(Protocol):
    """Asks versions besides what was answered."""

    @property
    def mirror(self) -> Mirror: ...
    def close(self) -> None: ...


class FailureSink(Protocol):
    """Takes failures off the hot path."""

    def write(self, failure: FailedRequest) -> None: ...
    def close(self) -> None: ...


class LabelSink(Protocol):
    """Takes labels off the hot path."""

    def write(self, label: Label) -> None: ...
    def close(self) -> None: ...


class Question(msgspec.Struct):
    """What is asked of a model: rows of named values, which the gateway may extend."""

    model: str
    rows: Sequence[dict[str, Any]]
    id: str = ""  # made when empty
    key: str = ""  # what the sticky split hashes; the id when empty
    version: str = ""  # a version by name instead of the split


class Asked(msgspec.Struct, gc=False):
    """A request on its way: the arm that it keeps whatever is deployed meanwhile, and its names."""

    model: str
    loaded: LoadedArm
    arm: str
    revision: int
    id: str
    key: str
    at: int  # UTC microseconds
    started: float  # perf_counter seconds


class Answer(msgspec.Struct, gc=False):
    """The scores and who gave them; of a model of tensors, its outputs too."""

    model: str
    version: str
    arm: str
    revision: int
    id: str
    scores: list[float]
    outputs: Mapping[str, NDArray[Any]] | None = None
    seconds: float = 0.0  # in the model

    def row_id(self, row: int) -> str:
        """The prediction id of a row: that of the request for the first, then id#1, id#2…"""
        return f"{self.id}#{row}" if row else self.id


def encode(asked: Asked, rows: Sequence[dict[str, Any]]) -> list[list[float]]:
    """Rows of named values as the numbers of the model that is asked, with the features that were read.

    Raises: BadInput (which names the column and, of several, the row), FeaturesUnreadable.
    """
    refuse_many(len(rows))
    encode_row, at = asked.loaded.encode, asked.at
    if len(rows) == 1:
        return [encode_row(rows[0], at)]
    vectors = []
    for number, values in enumerate(rows):
        try:
            vectors.append(encode_row(values, at))
        except BadInput as wrong:
            raise BadInput(f"row {number}: {wrong}") from wrong
    return vectors


class Gateway:
    """The transport-neutral core. It holds nothing of a request once that is answered."""

    def __init__(  # noqa: PLR0913 - each is a part that the worker opens
        self,
        live: LiveRoutes,
        predictions: PredictionSink,
        labels: LabelSink,
        clock: Clock,
        metrics: Metrics,
        *,
        features: FeatureReads,
        pushes: Pushes,
        default_model: str = "",
        deployments: Deployments | None = None,
        failures: FailureSink | None = None,
        shadows: Shadows | None = None,
    ) -> None:
        self.live, self.clock, self.metrics = live, clock, metrics
        self._shadows = shadows
        self.mirror = Mirror(metrics) if shadows is None else shadows.mirror  # of what was answered
        self.features, self.pushes = features, pushes
        self._default = default_model  # of protocols that name none
        self.deployments = deployments  # changes of what serves, where callers may ask for them
        self._predictions, self._labels, self._failures = predictions, labels, failures

    def default(self) -> str:
        """The model that is asked where none is named. Raises: NotFound."""
        return self.live.default(self._default)

    def model(self, name: str) -> LiveModel:
        """The routes in force of a model. Raises: NotFound, ModelUnavailable, NotLoaded."""
        found = self.live.models.get(name)
        if found is None:
            raise self.live.absent(name)
        return found

    def arm(self, model: LiveModel, version: str) -> LoadedArm:
        """The arm that serves a version. Raises: NotFound."""
        found = model.by_version.get(version)
        if found is None:
            mend = f"served: {', '.join(sorted(model.by_version))}"
            raise NotFound(f"version of model {model.routes.model!r}", version[:80], mend)
        return found

    def ask(
        self,
        model: str,
        request_id: str = "",
        key: str = "",
        version: str = "",
        headers: Headers = _NO_HEADERS,
    ) -> Asked:
        """Begin a request: its id, its arm and its moment. What its headers say of the split is followed.

        Raises: NotFound, ModelUnavailable, NotLoaded, BadInput (an id or a key that is too long).
        """
        started = perf_counter()
        live = self.live.models.get(model)
        if live is None:
            raise self.live.absent(model)
        if len(request_id) > LONGEST_NAME or len(key) > LONGEST_NAME:
            raise BadInput(
                f"an id or a key has at most {LONGEST_NAME} characters, found {len(request_id)}, {len(key)}"
            )
        request_id = request_id or f"{_drawn.getrandbits(128):032x}"
        key = key or request_id
        live.used_at = started
        if version:
            loaded, name = self.arm(live, version), PINNED
        elif live.only is not None:
            loaded = live.only
            name = loaded.arm.name
        else:
            loaded, name = split(live, key, headers)
        return Asked(model, loaded, name, live.routes.revision, request_id, key, self.clock.micros(), started)

    def answer(self, asked: Asked, work: Work, scored: Scored) -> Answer:
        """The answer of what was scored; each row of it is logged as a prediction."""
        loaded, scores, seconds = asked.loaded, scored.scores, scored.seconds
        model, arm, revision, name = asked.model, asked.arm, asked.revision, asked.id
        self.counts(asked).predicted(seconds, scored.cpu_seconds)
        who = name, asked.at, model, loaded.arm.version, arm, revision, asked.key
        latency = perf_counter() - asked.started
        if len(scores) == 1:
            self._predictions.write(
                _tuple(Prediction, (*who, scores[0], latency, work.vector(), scored.parts))
            )
        elif scores:
            packed = np.array(scores, "<f8").tobytes()
            parts = b"" if scored.parts is None else np.array(scored.parts, "<f8").tobytes()
            self._predictions.write(PredictedRows(*who, packed, latency, work.packed(), parts))
        return Answer(model, loaded.version, arm, revision, name, scores, scored.outputs, seconds)

    def failed(self, asked: Asked, status: int, raised: Exception) -> None:
        """Log that the version which was to answer did not."""
        if self._failures is None:
            return
        who = asked.id, asked.at, asked.model, asked.loaded.arm.version, asked.arm, asked.revision, asked.key
        latency = perf_counter() - asked.started
        self._failures.write(FailedRequest(*who, status, reason_of(raised), latency))

    def counts(self, asked: Asked) -> Counts:
        """Where the answers of the version that was asked are counted."""
        loaded = asked.loaded
        if loaded.counts is None:
            loaded.counts = Counts(self.metrics, asked.model, loaded.version)
        return loaded.counts

    def predict(self, question: Question) -> Answer:
        """Score every row with one arm and log each as a prediction, all on the thread of the requests.

        Raises: NotFound, ModelUnavailable, BadInput (which names the column and, of several, the
        row).
        """
        asked = self.ask(question.model, question.id, question.key, question.version)
        work = ColumnsWork(encode(asked, question.rows))
        return self.answer(asked, work, work.score(asked.loaded))

    def label(self, labels: Sequence[Label]) -> None:
        """Take labels in."""
        for label in labels:
            self._labels.write(label)

    def close(self) -> None:
        """Stop following the routes and make every prediction, label and failure durable."""
        self.live.close()
        if self._shadows is not None:
            self._shadows.close()
        for log in (self._predictions, self._labels, self.pushes, self._failures):
            if log is not None:
                log.close()
