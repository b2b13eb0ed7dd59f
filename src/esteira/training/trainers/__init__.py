"""Ways of training, opened by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    import pyarrow as pa

    from esteira.registry.bundle import Model
    from esteira.registry.signature import Signature
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
    url: str, table: pa.Table, signature: Signature, *, seed: int, threads: int = 2, **options: object
) -> Model:
    """Train a model with the trainer at `url`, on rows that come oldest first.

    Raises: UnknownScheme, MissingExtra, UnusableTarget, WrongInput, UnknownName, BadInput.
    """
    return open_trainer(url).fit(table, signature, seed=seed, threads=threads, **options)
