"""Tiny models for combinations, and members that misbehave when told."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.registry.terms import TERMS, Term, Terms
from esteira.serving.combining.columns import MemberColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

MILES = Signature((Column("miles", optional=True),), "late")


def summing(
    columns: Sequence[Column], *slopes: float, target: str = "late", is_logistic: bool = False
) -> Model:
    """A sum of slopes times columns; what is missing adds nothing, and is scored without any library."""
    terms = tuple(Term(place, fill=0.0, slope=slope) for place, slope in enumerate(slopes))
    made = Terms(len(columns), 0.0, terms, is_logistic)
    return Model("sklearn", Signature(tuple(columns), target), {TERMS: made.to_bytes()})


def line(slope: float, column: str = "miles", *, optional: bool = True) -> Model:
    """A slope times one column."""
    return summing([Column(column, optional=optional)], slope)


def same_columns(columns: int = 1) -> MemberColumns:
    """A member that asks for all that its combination asks for."""
    signature = Signature(tuple(Column(f"x{n}", optional=True) for n in range(columns)), "late")
    return MemberColumns(signature, signature)


class Moody:
    """A scorer that says the first number of a row, or does what that number stands for."""

    REFUSES, BREAKS, NAN, SLEEPS = -1.0, -2.0, -3.0, -4.0
    is_exact = True

    def __init__(self, sleeps_s: float = 0.3) -> None:
        self.sleeps_s, self.asked = sleeps_s, 0
        self.threads: set[int] = set()

    def predict_row(self, row: list[float]) -> float:
        return float(self.predict(np.array([row]))[0])

    def predict(self, matrix: Any) -> Any:
        self.asked += 1
        self.threads.add(threading.get_ident())
        first = matrix[:, 0]
        if (first == self.REFUSES).any():
            raise BadInput("not this row")
        if (first == self.BREAKS).any():
            raise RuntimeError("/srv/secret broke")
        if (first == self.SLEEPS).any():
            time.sleep(self.sleeps_s)
        return np.where(first == self.NAN, np.nan, first)
