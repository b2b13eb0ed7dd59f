"""What a way of training owes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from esteira.registry.bundle import Model
    from esteira.registry.signature import Signature
    from esteira.training.encodings import Encoding


class Trainer(Protocol):
    """Makes a model that tells the probability of the signature's target."""

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
        """Train on rows that come oldest first, with the encodings of some columns fitted on the way.

        Equal rows, seed, threads, encodings and options give equal bytes. Raises: UnusableTarget, WrongInput,
        UnfitEncoding, UnknownName or BadInput (an option that does not exist, or of a wrong kind).
        """
        ...
