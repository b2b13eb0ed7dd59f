"""What a way of judging columns owes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from esteira.registry.signature import Signature
    from esteira.training.examples import Examples


@dataclass(frozen=True, slots=True)
class ColumnScore:
    """What one method says of one column."""

    column: str
    score: float
    keep: bool
    reason: str
    spread: float | None = None  # standard deviation of the score over the shuffles
    noise: float | None = None  # the best score among the column's own shuffles; None: not compared with any


class Selector(Protocol):
    """Scores every column of a signature; the same rows and seed give the same scores."""

    @property
    def name(self) -> str: ...
    def judge(self, examples: Examples, signature: Signature, seed: int) -> list[ColumnScore]:
        """One score for each column, in the order of the signature. Raises: BadInput."""
        ...
