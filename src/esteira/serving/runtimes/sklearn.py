"""scikit-learn classifiers and regressors from skops files: only known types are built, nothing is unpickled.

A pipeline that imputes, scales, one-hot encodes and ends in a logistic or a linear regression is a sum with
one term per column. It is served as that sum: a row costs microseconds instead of milliseconds, and, unlike
the matrix product of scikit-learn, gives the same bits alone as in a batch. A bundle that has the sum as a
file is opened in `terms.py`, without scikit-learn; one that was made before is opened here.

Trees treat rows one by one, so batches of them are asked at once. Of others it is tried when the model is
loaded whether a batch gives the bits of its rows; if not, they answer row by row.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import skops.io
from sklearn import config_context
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.parallel import ThreadpoolController

from esteira.base.errors import BadInput, CorruptArtifact, EsteiraError
from esteira.registry.additive import agreed_terms
from esteira.registry.bundle import SKOPS_TYPES
from esteira.registry.terms import TERMS
from esteira.serving.runtimes.lone_rows import has_equal_bits, trial_rows
from esteira.serving.runtimes.term_sum import TermSum
from esteira.serving.runtimes.tree_bounds import check_trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from esteira.registry.bundle import Model
    from esteira.registry.columns import Column

    Estimator = Any  # scikit-learn ships no types

PAYLOAD = "model.skops"

_FORESTS = ("ExtraTrees", "RandomForest", "GradientBoosting", "HistGradientBoosting")
_TREES = ("DecisionTree", "ExtraTree", *_FORESTS)
_BY_ROW = frozenset(
    {"SimpleImputer", "StandardScaler", "MinMaxScaler", "RobustScaler", "OneHotEncoder", "OrdinalEncoder"}
    | {f"{tree}{kind}" for tree in _TREES for kind in ("Classifier", "Regressor")}
)
_LONE = 24  # rows that are tried alone: some models take milliseconds for each


class ValuesRefused(BadInput):
    """A row that a model of scikit-learn cannot score."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the model refuses the row: {reason[:200]}")
        self.reason = reason


class SklearnRuntime:
    """A binary classifier or a regressor of one number. Raises: CorruptArtifact, ValuesRefused."""

    is_exact = True

    def __init__(self, model: Model) -> None:
        estimator = _load(model.files.get(PAYLOAD, b""))
        columns = model.signature.columns
        if getattr(estimator, "n_features_in_", len(columns)) != len(columns):
            raise CorruptArtifact(PAYLOAD, f"{len(columns)} columns", f"{estimator.n_features_in_}")
        with _from_a_file():
            self._library = _Estimator(estimator)
            terms = agreed_terms(estimator, self._library.scores)
            self._sum = None if terms is None else TermSum(terms)
            self._is_batched = self._sum is None and self._rows_agree(columns)

    def _rows_agree(self, columns: tuple[Column, ...]) -> bool:
        for missing in (True, False):
            try:
                rows = trial_rows(columns, missing=missing)
                return has_equal_bits(self._library.scores, rows, self._library.copies, _LONE)
            except ValuesRefused as refused:
                if not isinstance(refused.__cause__, ValueError):
                    raise CorruptArtifact(
                        PAYLOAD, "an estimator that scores rows", refused.reason
                    ) from refused
        return False

    def predict_row(self, row: list[float]) -> float:
        if self._sum is None:
            return self._library.lone_score(row)
        return self._sum.of_row(row)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(matrix):
            return np.empty(0, dtype=np.float64)
        if self._sum is not None:
            return self._sum.of_rows(matrix)
        if self._is_batched and len(matrix) >= self._library.copies:
            return self._library.scores(np.ascontiguousarray(matrix))
        return np.array([self.predict_row(row) for row in matrix.tolist()], dtype=np.float64)


class _Estimator:
    """scikit-learn's own answer, on one thread and without the checks that are made here."""

    def __init__(self, estimator: Estimator) -> None:
        self.is_classifier, kind = is_classifier(estimator), type(estimator).__name__
        if self.is_classifier and len(getattr(estimator, "classes_", ())) != 2:
            raise CorruptArtifact(PAYLOAD, "a fitted classifier of two classes", kind)
        if not self.is_classifier and not is_regressor(estimator):
            raise CorruptArtifact(PAYLOAD, "a classifier of two classes or a regressor", kind)
        threads = [name for name in estimator.get_params() if name.split("__")[-1] == "n_jobs"]
        self._ask = estimator.set_params(**dict.fromkeys(threads, 1))
        # Trees and steps that work on one number after another do the same to a row alone and among others.
        kinds = {type(step).__name__ for step in _steps(estimator)}
        self.copies = 1 if kinds <= _BY_ROW else 2
        # Histogram boosting takes every core for every row, and has no n_jobs.
        self._threads = ThreadpoolController() if any(kind.startswith("Hist") for kind in kinds) else None

    def scores(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """One score a row, shape (rows,). Raises: ValuesRefused."""
        is_finite = bool(np.isfinite(matrix).all())  # else scikit-learn says whether it takes what is missing
        try:
            with config_context(assume_finite=is_finite, skip_parameter_validation=True):
                if self._threads is None:
                    return self._answer(matrix)
                with self._threads.limit(limits=1, user_api="openmp"):  # of this thread of Python
                    return self._answer(matrix)
        except EsteiraError:
            raise
        except Exception as refused:  # what a file put into an estimator can break it in any way
            reason = (str(refused) or type(refused).__name__).splitlines()[0]
            raise ValuesRefused(reason) from refused

    def lone_score(self, row: list[float]) -> float:
        """The score of one row, sent in copies."""
        return float(self.scores(np.array([row] * self.copies))[0])

    def _answer(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.is_classifier:
            found = np.asarray(self._ask.predict_proba(matrix)[:, 1], dtype=np.float64)
        else:
            found = np.asarray(self._ask.predict(matrix), dtype=np.float64)
        if found.shape not in {(len(matrix),), (len(matrix), 1)}:
            raise CorruptArtifact(PAYLOAD, "one score per row", f"shape {found.shape}")
        return found.reshape(len(matrix))


def _steps(estimator: Estimator) -> list[Any]:
    """The steps of a pipeline and of the pipelines and column transformers in it, or the estimator itself."""
    inner = [*getattr(estimator, "steps", ()), *getattr(estimator, "transformers_", ())]
    found = [step for _, each, *_ in inner if not isinstance(each, str) for step in _steps(each)]
    return found or [estimator]


def sklearn_files(content: bytes) -> dict[str, bytes]:
    """The files of a bundle from those of skops, and the sum if the estimator is one and agrees with it.

    Raises: CorruptArtifact.
    """
    estimator = _load(content)
    with _from_a_file():
        terms = agreed_terms(estimator, _Estimator(estimator).scores)
    return {PAYLOAD: content} | ({} if terms is None else {TERMS: terms.to_bytes()})


def load_estimator(model: Model) -> Estimator:
    """The estimator itself, for a conversion. Raises: CorruptArtifact."""
    return _load(model.files.get(PAYLOAD, b""))


def _load(content: bytes) -> Estimator:
    with _from_a_file():
        strangers = set(skops.io.get_untrusted_types(data=content)) - set(SKOPS_TYPES)
        if strangers:
            raise CorruptArtifact(PAYLOAD, "types of scikit-learn and numpy", ", ".join(sorted(strangers)))
        estimator = skops.io.loads(content, trusted=list(SKOPS_TYPES))
        check_trees(estimator, PAYLOAD)
        return estimator


@contextmanager
def _from_a_file() -> Iterator[None]:
    try:
        yield
    except EsteiraError:
        raise
    except Exception as broken:  # a file from elsewhere can break its reader in any way
        reason = (str(broken) or type(broken).__name__)[:200]
        raise CorruptArtifact(PAYLOAD, "a model that skops can read", reason) from broken
