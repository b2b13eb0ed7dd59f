"""What is counted with every answer of a version, in cells that are found once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esteira.serving.telemetry.metrics import Metrics


class Counts:
    """The answers of one version in memory, counted by the one thread that answers requests.

    >>> from esteira.serving.telemetry.metrics import Metrics
    >>> metrics = Metrics()
    >>> Counts(metrics, "late", "3").answered("champion", "oip", 200, 0.001)
    >>> metrics.read()["esteira_requests_total"]
    {('late', '3', 'champion', 'oip', '200'): [1.0]}
    """

    __slots__ = ("_answers", "_cpu", "_metrics", "_model", "_predict", "_version")

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        self._metrics, self._model, self._version = metrics, model, version
        self._predict = metrics.predict_seconds.bind((model, version))
        self._cpu = metrics.cpu_seconds.bind((model, version))
        self._answers: dict[tuple[str, str, int], tuple[int, int]] = {}  # the cells of their number and time

    def predicted(self, seconds: float, cpu_seconds: float) -> None:
        """Count a call of the model."""
        metrics = self._metrics
        metrics.values[self._cpu] += cpu_seconds
        metrics.predict_seconds.observe_at(self._predict, seconds)

    def answered(self, arm: str, protocol: str, status: int, seconds: float) -> None:
        """Count an answer."""
        metrics, who = self._metrics, (arm, protocol, status)
        cells = self._answers.get(who)
        if cells is None:
            requests = metrics.requests.bind((self._model, self._version, arm, protocol, str(status)))
            cells = self._answers[who] = requests, metrics.request_seconds.bind((self._model, protocol))
        metrics.values[cells[0]] += 1.0
        metrics.request_seconds.observe_at(cells[1], seconds)
