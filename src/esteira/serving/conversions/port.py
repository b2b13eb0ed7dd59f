"""What a conversion is: a model in other forms, the best first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.registry.bundle import Model


class NotConvertible(BadInput):
    """A model that has no such form."""

    def __init__(self, to: str, reason: str) -> None:
        super().__init__(f"the model cannot become {to!r}: {reason}")
        self.to, self.reason = to, reason


class Conversion(Protocol):
    """Makes the native files of another runtime; signature and encodings stay as they are.

    It may hold back what it makes until it is asked for: a form is taken only when no better one passes the
    parity gate. Equal models give equal bytes. Raises: NotConvertible.
    """

    def __call__(self, model: Model) -> Iterator[Model]: ...
