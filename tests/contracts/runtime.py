"""What every runtime owes: scores that agree alone and in company, to the bit or nearly, on any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esteira.base.errors import CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.signature import Signature
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.serving.runtimes.port import Runtime

NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, 0.0, -0.0, 1.0, 2.0])


class RuntimeContract:
    """Subclass it and give `model`, cached, and what its own library says of a matrix.

    What a library computes in float32 names its tolerance; a runtime that is not exact says so, and is held
    to that tolerance where others are held to the bit.
    """

    rtol = 1e-12  # of the library's own scores
    atol = 1e-15
    is_exact = True
    is_probability = True
    takes_missing = True

    def model(self) -> Model:
        """A model whose runtime is the one to test."""
        raise NotImplementedError

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of the positive class by the training library itself."""
        raise NotImplementedError

    def open(self) -> Runtime:
        return open_runtime(self.model())

    def matrix(self, rows: int, seed: int = 0) -> NDArray[np.float64]:
        drawn = np.random.default_rng(seed)
        matrix = drawn.normal(scale=3, size=(rows, len(self.model().signature.columns)))
        for at, column in enumerate(self.model().signature.columns):
            if column.kind == "category":
                matrix[:, at] = drawn.integers(0, len(column.categories), rows)
        if self.takes_missing:
            matrix[drawn.random(matrix.shape) < 0.1] = np.nan
        return matrix

    def agree(self, alone: list[float], together: NDArray[np.float64]) -> bool:
        if self.is_exact:
            return alone == together.tolist()
        return np.allclose(alone, together, rtol=self.rtol, atol=self.atol)

    def test_the_runtime_says_whether_it_is_exact(self) -> None:
        assert self.open().is_exact == self.is_exact

    def test_a_row_alone_scores_as_in_a_batch_to_the_bit(self) -> None:
        runtime, matrix = self.open(), self.matrix(100)
        assert self.agree([runtime.predict_row(row) for row in matrix.tolist()], runtime.predict(matrix))

    # The examples are shared by the subclasses, whose columns are as many or not: each finds its own.
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_any_row_alone_scores_as_in_a_batch_to_the_bit(self, data: st.DataObject) -> None:
        runtime, columns = _opened(type(self)), len(self.model().signature.columns)
        shape = (data.draw(st.integers(1, 8)), columns)
        matrix = data.draw(arrays(np.float64, shape, elements=NUMBERS))
        if not self.takes_missing:
            matrix = np.nan_to_num(matrix)
        assert self.agree([runtime.predict_row(row) for row in matrix.tolist()], runtime.predict(matrix))

    def test_scores_are_those_of_the_training_library(self) -> None:
        matrix = self.matrix(500)
        np.testing.assert_allclose(
            self.open().predict(matrix), self.scores_of_the_library(matrix), rtol=self.rtol, atol=self.atol
        )

    def test_scores_are_one_finite_number_per_row(self) -> None:
        scores = self.open().predict(self.matrix(50))
        assert scores.shape == (50,)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        assert not self.is_probability or ((scores > 0) & (scores < 1)).all()

    def test_no_rows_give_no_scores(self) -> None:
        assert self.open().predict(self.matrix(0)).shape == (0,)

    def test_a_matrix_in_another_layout_scores_the_same(self) -> None:
        runtime, matrix = self.open(), self.matrix(40)
        expected = runtime.predict(matrix).tolist()
        assert runtime.predict(np.asfortranarray(matrix)).tolist() == expected
        assert runtime.predict(np.repeat(matrix, 2, axis=0)[::2]).tolist() == expected

    def test_threads_do_not_disturb_each_other(self) -> None:
        runtime, rows = self.open(), self.matrix(40).tolist()
        expected = [runtime.predict_row(row) for row in rows]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: [runtime.predict_row(row) for row in rows], range(6)))
        assert all(answer == expected for answer in answers)

    def test_a_model_with_other_columns_than_its_signature_is_corrupt(self) -> None:
        model = self.model()
        shorter = Signature(model.signature.columns[:-1], model.signature.target)
        with pytest.raises(CorruptArtifact, match="columns"):
            open_runtime(Model(model.runtime, shorter, model.files))

    @pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
    def test_files_that_were_cut_short_are_corrupt(self, keep: float) -> None:
        model = self.model()
        cut = {name: content[: int(len(content) * keep)] for name, content in model.files.items()}
        with pytest.raises(CorruptArtifact):
            open_runtime(Model(model.runtime, model.signature, cut))

    def test_files_of_another_kind_are_corrupt(self) -> None:
        model = self.model()
        with pytest.raises(CorruptArtifact):
            open_runtime(Model(model.runtime, model.signature, dict.fromkeys(model.files, b"\x80\x04K\x01.")))
        with pytest.raises(CorruptArtifact):
            open_runtime(Model(model.runtime, model.signature, {}))


@cache
def _opened(kind: type[RuntimeContract]) -> Runtime:
    return kind().open()
