"""The baseline that anything better must beat: logistic regression of scikit-learn, stored by skops."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # a part of scikit-learn

from esteira.base.errors import BadInput
from esteira.registry.additive import agreed_terms
from esteira.registry.bundle import SKOPS_TYPES, Model
from esteira.registry.terms import TERMS
from esteira.training.encodings import prepare
from esteira.training.examples import read_examples
from esteira.training.options import with_options
from esteira.training.skops_bytes import canonical_skops

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from esteira.registry.signature import Signature
    from esteira.training.encodings import Encoding

    Estimator = Any  # scikit-learn ships no types

PAYLOAD = "model.skops"
_UNKNOWN = -1.0  # the code of a missing category, which becomes a category of its own


@dataclass(frozen=True, slots=True)
class SklearnOptions:
    inverse_penalty: float = 1.0
    max_iterations: int = 200


class SklearnTrainer:
    """Logistic regression over numbers on one scale and a column per category. Meets `Trainer`.

    A missing number becomes the median and a mark of its own; a missing or new category is one more category.
    What an encoding makes of a column is a number like any other.

    Options: the fields of `SklearnOptions`. One thread, whatever `threads` says: sums in another order
    would give other bytes.
    """

    def __init__(self, url: str = "sklearn:") -> None:
        self.url = url

    def fit(
        self,
        table: pa.Table,
        signature: Signature,
        *,
        seed: int,
        threads: int = 2,
        encode: Mapping[str, Encoding] | None = None,
        **options: object,
    ) -> Model:
        chosen = with_options(SklearnOptions(), options, "sklearn")
        prepared = prepare(read_examples(table, signature), signature, encode)
        pipeline = Pipeline(
            [
                ("columns", _columns(prepared.signature)),
                (
                    "model",
                    LogisticRegression(
                        C=chosen.inverse_penalty, max_iter=chosen.max_iterations, random_state=seed
                    ),
                ),
            ]
        )
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)  # told in the facts
            pipeline.fit(prepared.examples.matrix, prepared.examples.labels)
            files = _files(pipeline, prepared.examples.matrix)
        iterations = int(pipeline["model"].n_iter_[0])
        facts = {
            **asdict(chosen),
            **prepared.facts,
            "trainer": "sklearn",
            "library_version": sklearn.__version__,
            "seed": seed,
            "rows": table.num_rows,
            "iterations": iterations,
            "converged": iterations < chosen.max_iterations,
        }
        return Model("sklearn", signature, files, facts, prepared.encodings)


def _columns(signature: Signature) -> Estimator:
    numbers = [at for at, column in enumerate(signature.columns) if column.kind == "number"]
    texts = [at for at, column in enumerate(signature.columns) if column.kind == "category"]
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    codes = [np.arange(_UNKNOWN, len(signature.columns[at].categories)) for at in texts]
    marked = SimpleImputer(strategy="constant", fill_value=_UNKNOWN, keep_empty_features=True)
    return ColumnTransformer(
        [
            ("numbers", Pipeline([("fill", filled), ("scale", StandardScaler())]), numbers),
            ("texts", Pipeline([("mark", marked), ("encode", OneHotEncoder(categories=codes))]), texts),
        ],
        sparse_threshold=1.0,
    )


def _files(pipeline: Estimator, matrix: NDArray[np.float64]) -> dict[str, bytes]:
    """The pipeline, and the sum that it is, compared on what it learnt from: a gateway serves that file."""
    terms = agreed_terms(pipeline, lambda rows: pipeline.predict_proba(rows)[:, 1], matrix)
    return {PAYLOAD: _native(pipeline)} | ({} if terms is None else {TERMS: terms.to_bytes()})


def _native(pipeline: Estimator) -> bytes:
    content = canonical_skops(skops.io.dumps(pipeline))
    beyond = set(skops.io.get_untrusted_types(data=content)) - set(SKOPS_TYPES)
    if beyond:
        raise BadInput(f"the model needs types that are not trusted: {', '.join(sorted(beyond))}")
    return content
