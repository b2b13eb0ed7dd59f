"""Trees of LightGBM compiled to machine code: the same text, read by another runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from esteira.serving.conversions.port import NotConvertible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.registry.bundle import Model

NAME = "lleaves"


def to_lleaves(model: Model) -> Iterator[Model]:
    """The model for the compiler. Raises: NotConvertible (no trees of LightGBM)."""
    if model.runtime != "lightgbm":
        raise NotConvertible(NAME, "only trees of LightGBM can be compiled")
    yield replace(model, runtime=NAME)
