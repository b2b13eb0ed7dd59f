"""What any version would have said of predictions that other versions answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esteira.monitoring.prediction_log import vectors_of
from esteira.project.release import load_model
from esteira.registry.columns import WrongInput
from esteira.serving.combining.files import without_deadlines
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from esteira.project.station import Station
    from esteira.registry.bundle import Model
    from esteira.serving.runtimes.port import Runtime


class Rescorer:
    """Scores logged predictions again with another version; each version is loaded once."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._models: dict[int, Model] = {}
        self._runtimes: dict[int, Runtime] = {}

    def model(self, number: int) -> Model:
        """A registered version. Raises: NotFound, CorruptArtifact."""
        if number not in self._models:
            self._models[number] = load_model(self._station, self._station.version(number))
        return self._models[number]

    def can_score(self, logged: int, number: int) -> bool:
        """Whether the vectors that version `logged` saw hold all that version `number` asks for."""
        signature, to = self.model(logged).signature, self.model(number).signature
        try:
            signature.recode(np.empty((0, len(signature.columns))), to)
        except WrongInput:
            return False
        return True

    def is_exact(self, number: int) -> bool:
        """Whether version `number` gives equal bits, alone and in company."""
        return self._runtime(number).is_exact

    def may_vary(self, number: int) -> bool:
        """Whether version `number` may answer otherwise another time: a member may miss its deadline."""
        model = self.model(number)
        return without_deadlines(model) != model

    def scores(self, rows: pa.Table, number: int) -> NDArray[np.float64]:
        """Scores of version `number` on the vectors that the rows' own versions logged, shape (rows,).

        Raises: WrongInput (vectors that it cannot score).
        """
        runtime = self._runtime(number)
        by = rows["version"].to_numpy()
        scores = np.empty(rows.num_rows)
        for logged in np.unique(by).tolist():
            mine = by == logged
            signature = self.model(logged).signature
            matrix = vectors_of(rows.filter(mine), len(signature.columns))
            scores[mine] = runtime.predict(signature.recode(matrix, self.model(number).signature))
        return scores

    def _runtime(self, number: int) -> Runtime:
        if number not in self._runtimes:
            self._runtimes[number] = open_runtime(without_deadlines(self.model(number)))
        return self._runtimes[number]
