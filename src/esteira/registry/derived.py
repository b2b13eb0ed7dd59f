"""A transform as a model keeps it: its name, and the expression of the outputs that the model asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.registry.expressions import Expression

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True)
class Derived:
    """Columns that are computed from others, by the same steps in training and in serving."""

    name: str
    expression: Expression

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of its outputs in a training set and in a signature: `transform__output`."""
        return tuple(f"{self.name}__{output}" for output, _ in self.expression.outputs)

    def only(self, columns: Collection[str]) -> Derived:
        """The transform of those of its columns alone, asking only for what they need."""
        pairs = zip(self.columns, self.expression.outputs, strict=True)
        return Derived(self.name, self.expression.only({name for c, (name, _) in pairs if c in columns}))

    def to_plain(self) -> dict[str, Any]:
        """The transform as JSON values."""
        return {"name": self.name, **self.expression.to_plain()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Derived:
        """The inverse of `to_plain`. Raises: UnknownName, CorruptArtifact."""
        return cls(msgspec.convert(plain["name"], str), Expression.from_plain(plain))
