"""Our gateway without its prediction log, to see what that costs: run as `python -m esteira.serving` is."""

from __future__ import annotations

import runpy

from esteira.monitoring.prediction_log import PredictionLog
from esteira.serving import worker


class Unlogged(PredictionLog):
    """Opens its segment as the log does, and writes nothing into it."""

    def write(self, record: object) -> None:
        del record


if __name__ == "__main__":
    assert worker.PredictionLog is PredictionLog
    worker.PredictionLog = Unlogged
    runpy.run_module("esteira.serving", run_name="__main__", alter_sys=True)
