"""What a way of training owes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from esteira.registry.bundle import Model
    from esteira.registry.signature import Signature


class Trainer(Protocol):
    """Makes a model that tells the probability of the signature's target."""

    def fit(
        self, table: pa.Table, signature: Signature, *, seed: int, threads: int = 2, **options: object
    ) -> Model:
        """Train on rows that come oldest first.

        Equal rows, seed, threads and options give equal bytes. Raises: UnusableTarget, WrongInput,
        UnknownName or BadInput (an option that does not exist, or of a wrong kind).
        """
        ...
