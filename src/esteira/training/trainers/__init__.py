"""Ways of training, opened by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from esteira.registry.bundle import Model
    from esteira.registry.signature import Signature
    from esteira.training.encodings import Encoding
    from esteira.training.trainers.port import Trainer

_TRAINERS = {
    "lightgbm": "esteira.training.trainers.lightgbm:LightgbmTrainer",
    "sklearn": "esteira.training.trainers.sklearn:SklearnTrainer",
}


def open_trainer(url: str) -> Trainer:
    """`lightgbm:` or `sklearn:`. Raises: UnknownScheme, MissingExtra."""
    trainer: Trainer = open_by_scheme(_TRAINERS, url)
    return trainer


def fit(
    url: str,
    table: pa.Table,
    signature: Signature,
    *,
    seed: int,
    threads: int = 2,
    encode: Mapping[str, Encoding] | None = None,
    **options: object,
) -> Model:
    """Train a model with the trainer at `url`, on rows that come oldest first.

    `encode` names what some columns become inside the model; it is fitted on these rows and kept with it:

        @step
        def model(train: pa.Table, seed: int = 7) -> Model:
            encode = {"dest": Target(), "carrier": OneHot(min_count=50), "miles": Robust()}
            return fit("sklearn:", train, signature_of(train), seed=seed, encode=encode)

    Raises: UnknownScheme, MissingExtra, UnusableTarget, WrongInput, UnfitEncoding, UnknownName, BadInput.
    """
    return open_trainer(url).fit(table, signature, seed=seed, threads=threads, encode=encode, **options)
