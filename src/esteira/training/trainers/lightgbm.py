"""Gradient-boosted trees: LightGBM, with equal bytes for equal training."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput
from esteira.registry.bundle import Model
from esteira.training.encodings import prepare
from esteira.training.examples import Examples, read_examples
from esteira.training.options import with_options

# Its threads would otherwise spin while they wait; beside other work that costs ten times the training.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import lightgbm

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from esteira.registry.signature import Signature
    from esteira.training.encodings import Encoding, Prepared

    Booster = Any  # or its data; LightGBM ships no types that we check

PAYLOAD = "model.txt"
_PLAIN_NAME = re.compile(r"[\w.~=-]+")  # LightGBM rewrites other names, and refuses some


@dataclass(frozen=True, slots=True)
class LightgbmOptions:
    """Defaults that generalise over time on the flights and take a second for 100,000 rows."""

    max_rounds: int = 300
    patience: int = 20  # rounds without gain on the validation rows before training stops
    validation_share: float = 0.15  # of the rows, the newest
    learning_rate: float = 0.05
    leaves: int = 31
    leaf_rows: int = 100  # fewer when rows are few
    column_share: float = 0.8  # of the columns, drawn anew for each tree


class LightgbmTrainer:
    """Trees of which as many are kept as served the newest rows best. Meets `Trainer`.

    Encodings are fitted on the rows that the trees learn from, without the newest.

    Options: the fields of `LightgbmOptions`. Source: Ke et al. 2017, "LightGBM: A Highly Efficient
    Gradient Boosting Decision Tree".
    """

    def __init__(self, url: str = "lightgbm:") -> None:
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
        chosen = with_options(LightgbmOptions(), options, "lightgbm")
        past, newest = _parted(read_examples(table, signature), chosen.validation_share)
        prepared = prepare(past, signature, encode)
        data = _dataset(prepared, _parameters(chosen, len(past.labels), seed, threads))
        booster = lightgbm.train(
            data.params,
            data,
            num_boost_round=chosen.max_rounds,
            valid_sets=[data.create_valid(prepared.encode(newest.matrix), newest.labels)],
            callbacks=[lightgbm.early_stopping(chosen.patience, verbose=False)],
        )
        facts = {
            **asdict(chosen),
            **prepared.facts,
            "trainer": "lightgbm",
            "library_version": lightgbm.__version__,
            "seed": seed,
            "rows": table.num_rows,
            "validation_rows": len(newest.labels),
            "rounds": booster.best_iteration,
        }
        return Model("lightgbm", signature, {PAYLOAD: _native(booster)}, facts, prepared.encodings)


def _parted(examples: Examples, validation_share: float) -> tuple[Examples, Examples]:
    rows = len(examples.labels)
    cut = rows - round(rows * validation_share)
    if not 0 < cut < rows:
        raise BadInput(
            f"validation_share {validation_share} of {rows} rows leaves none to learn or to validate"
        )
    past = Examples(examples.matrix[:cut], examples.labels[:cut])
    return past, Examples(examples.matrix[cut:], examples.labels[cut:])


def _dataset(prepared: Prepared, parameters: dict[str, Any]) -> Booster:
    names = prepared.signature.names
    kinds = [column.kind for column in prepared.signature.columns]
    return lightgbm.Dataset(
        prepared.examples.matrix,
        prepared.examples.labels,
        feature_name=list(names) if all(map(_PLAIN_NAME.fullmatch, names)) else "auto",
        categorical_feature=[at for at, kind in enumerate(kinds) if kind == "category"],
        params=parameters,
    )


def _parameters(chosen: LightgbmOptions, rows: int, seed: int, threads: int) -> dict[str, Any]:
    leaf_rows = min(chosen.leaf_rows, max(1, rows // 50))
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.leaves,
        "min_data_in_leaf": leaf_rows,
        "feature_fraction": chosen.column_share,
        "min_data_per_group": 2 * leaf_rows,  # a rare category tells nothing of its own
        "cat_smooth": 50.0,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,  # else it measures which way is faster, and that varies
        "num_threads": threads,
        "verbosity": -1,
    }


def _native(booster: Booster) -> bytes:
    """The kept trees as text, without the parameters: they name threads, and no reader needs them."""
    text: str = booster.model_to_string(num_iteration=booster.best_iteration)
    trees, _, rest = text.partition("\nparameters:\n")
    return (trees + rest.partition("\nend of parameters\n")[2]).encode()
