"""BentoML: `python -m bentoml serve bentoml_service:Scorer`, told by SCORER_FOLDER and SCORER_MODEL."""

from __future__ import annotations

import os

import bentoml
from scorers import open_scorer


@bentoml.service(workers=1, traffic={"timeout": 60})
class Scorer:
    """One worker; adaptive batching is off, as it is by default."""

    def __init__(self) -> None:
        self._score = open_scorer(os.environ["SCORER_FOLDER"], os.environ["SCORER_MODEL"])

    @bentoml.api(route="/invocations")
    async def predict(self, inputs: list[list[float]]) -> dict[str, list[float]]:
        return {"predictions": self._score(inputs)}
