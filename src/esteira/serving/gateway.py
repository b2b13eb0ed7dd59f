"""One prediction, whatever protocol asks: choose the arm, read the features, score, log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.base.records import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.base.ports import Clock, PredictionSink
    from esteira.base.records import Label
    from esteira.serving.arms import LoadedArm
    from esteira.serving.features import FeatureReads
    from esteira.serving.live import LiveModel, LiveRoutes
    from esteira.serving.metrics import Metrics
    from esteira.serving.pushes import Pushes

PINNED = "pinned"  # the arm of a request that named its version: no split chose it
LONGEST_NAME = 256  # characters of a prediction id or a sticky key


class ModelUnavailable(EsteiraError):
    """A model that has routes of which none could be loaded."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"model {model!r} is not ready: {reason}")
        self.model, self.reason = model, reason


class LabelSink(Protocol):
    """Takes labels off the hot path."""

    def write(self, label: Label) -> None: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Question:
    """What is asked of a model: rows of named values, which the gateway may extend."""

    model: str
    rows: Sequence[dict[str, Any]]
    id: str = ""  # made when empty
    key: str = ""  # what the sticky split hashes; the id when empty
    version: str = ""  # a version by name instead of the split


@dataclass(slots=True)
class Answer:
    """The scores and who gave them."""

    model: str
    version: str
    arm: str
    revision: int
    id: str
    scores: list[float]

    def row_id(self, row: int) -> str:
        """The prediction id of a row: that of the request for the first, then id#1, id#2…"""
        return f"{self.id}#{row}" if row else self.id


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
    ) -> None:
        self.live, self.clock, self.metrics = live, clock, metrics
        self.features, self.pushes = features, pushes
        self.default_model = default_model  # of protocols that name none
        self._predictions, self._labels = predictions, labels

    def model(self, name: str) -> LiveModel:
        """The routes in force of a model. Raises: NotFound, ModelUnavailable."""
        found = self.live.models.get(name)
        if found is None:
            failure = self.live.failures.get(name)
            if failure is not None:
                raise ModelUnavailable(name, failure.reason)
            known = ", ".join(sorted(self.live.models))
            raise NotFound("model", name, f"served: {known}" if known else "nothing is deployed yet")
        return found

    def arm(self, model: LiveModel, version: str) -> LoadedArm:
        """The arm that serves a version. Raises: NotFound."""
        found = model.by_version.get(version)
        if found is None:
            mend = f"served: {', '.join(sorted(model.by_version))}"
            raise NotFound(f"version of model {model.routes.model!r}", version, mend)
        return found

    def predict(self, question: Question) -> Answer:
        """Score every row with one arm and log each as a prediction.

        Raises: NotFound, ModelUnavailable, BadInput (which names the column and, of several, the row).
        """
        started = perf_counter()
        model = self.model(question.model)
        request_id = question.id or os.urandom(16).hex()
        key = question.key or request_id
        if len(request_id) > LONGEST_NAME or len(key) > LONGEST_NAME:
            raise BadInput(
                f"an id or a key has at most {LONGEST_NAME} characters, found {len(request_id)}, {len(key)}"
            )
        loaded = self.arm(model, question.version) if question.version else model.choose(key)
        at = self.clock.micros()
        vectors = self._encode(loaded, question.rows, at)
        scores = self._score(loaded, question.model, vectors)
        name = PINNED if question.version else loaded.arm.name
        answer = Answer(question.model, loaded.version, name, model.routes.revision, request_id, scores)
        latency = perf_counter() - started
        for row, (vector, score) in enumerate(zip(vectors, scores, strict=True)):
            self._predictions.write(
                Prediction(
                    answer.row_id(row),
                    at,
                    question.model,
                    loaded.arm.version,
                    name,
                    model.routes.revision,
                    key,
                    score,
                    latency,
                    tuple(vector),
                )
            )
        return answer

    def label(self, labels: Sequence[Label]) -> None:
        """Take labels in."""
        for label in labels:
            self._labels.write(label)

    def close(self) -> None:
        """Stop following the routes and make every prediction and label durable."""
        self.live.close()
        for log in (self._predictions, self._labels, self.pushes):
            log.close()

    def _encode(self, loaded: LoadedArm, rows: Sequence[dict[str, Any]], at: int) -> list[list[float]]:
        if len(rows) == 1:
            return [loaded.encode(rows[0], at)]
        vectors = []
        for number, values in enumerate(rows):
            try:
                vectors.append(loaded.encode(values, at))
            except BadInput as wrong:
                raise BadInput(f"row {number}: {wrong}") from wrong
        return vectors

    def _score(self, loaded: LoadedArm, model: str, vectors: list[list[float]]) -> list[float]:
        started = perf_counter()
        if len(vectors) == 1:
            scores = [loaded.runtime.predict_row(vectors[0])]
        else:
            matrix = np.array(vectors, dtype=np.float64).reshape(len(vectors), len(loaded.signature.columns))
            scores = loaded.runtime.predict(matrix).tolist()
        self.metrics.predict_seconds.observe((model, loaded.version), perf_counter() - started)
        return scores
