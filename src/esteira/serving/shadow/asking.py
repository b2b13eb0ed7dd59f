"""Asks shadows what others have answered, and keeps what they say under the ids of those answers."""

from __future__ import annotations

from collections import Counter
from time import perf_counter, sleep
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.records import PredictedRows
from esteira.monitoring.failure_log import FailedRequest, reason_of
from esteira.serving.gateway import Asked
from esteira.serving.mirroring.messages import Told
from esteira.serving.refusals import Refusals
from esteira.serving.shadow.doors import work_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.monitoring.failure_log import FailureLog
    from esteira.monitoring.prediction_log import PredictionLog
    from esteira.serving.mirroring.messages import Mirrored
    from esteira.serving.shadow.held import Versions

AGAIN_S = 0.2  # between two tries of a disk that refuses


class Asking:
    """What the process of the shadows does with requests; whatever a shadow does, it goes on.

    Its latency is that of a process that gives way to all others: no measure of the version.
    """

    def __init__(self, versions: Versions, answers: PredictionLog, failures: FailureLog) -> None:
        self._versions, self._answers, self._failures = versions, answers, failures
        self._refusals = Refusals()
        self._answered: Counter[tuple[str, int]] = Counter()  # since the worker was told
        self._failed: Counter[tuple[str, int]] = Counter()

    @property
    def has_news(self) -> bool:
        """Whether something was asked that the worker was not told of."""
        return bool(self._answered or self._failed)

    def ask(self, batch: Sequence[Mirrored]) -> None:
        """Ask each shadow that a request is for."""
        for mirrored in batch:
            for name, version in mirrored.targets:
                self._ask(mirrored, name, version)

    def told(self) -> list[Told]:
        """What became of all since the last time: it is on disk. It waits while the disk refuses."""
        for log in (self._answers, self._failures):
            log.flush()
            while log.queued:
                sleep(AGAIN_S)
                log.flush()
        told = [
            Told(*who, self._answered[who], self._failed[who]) for who in {*self._answered, *self._failed}
        ]
        self._answered.clear()
        self._failed.clear()
        return told

    def _ask(self, mirrored: Mirrored, name: str, version: int) -> None:
        started, model = perf_counter(), mirrored.model
        who = mirrored.id, mirrored.at, model, version, name, mirrored.revision, mirrored.key
        try:
            loaded = self._versions.find(model, name, version)
            asked = Asked(
                model, loaded, name, mirrored.revision, mirrored.id, mirrored.key, mirrored.at, started
            )
            work = work_of(asked, mirrored)
            scored = work.score(loaded)
            scores = np.array(scored.scores, "<f8").tobytes()
            parts = b"" if scored.parts is None else np.array(scored.parts, "<f8").tobytes()
            if scores:
                latency = perf_counter() - started
                self._answers.write(PredictedRows(*who, scores, latency, work.packed(), parts))
        except Exception as raised:  # noqa: BLE001 - whatever a version raises, the others are asked
            status, _ = self._refusals.of(raised)
            latency = perf_counter() - started
            self._failures.write(FailedRequest(*who, status, reason_of(raised), latency))
            self._failed[model, version] += 1
        else:
            self._answered[model, version] += 1
