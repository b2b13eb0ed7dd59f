"""A model that is a sum, as data: an intercept, and what each column adds; `terms.json` in a bundle.

{"columns": 2, "format": 1, "intercept": -0.5, "link": "logistic", "terms": [
  {"column": 0, "fill": 3.5, "marks": false, "mean": 3.0, "scale": 2.0, "slope": 0.7, "effects": null},
  {"column": 1, "fill": "-inf", …, "effects": [[0.0, 0.1], ["-inf", -0.2]]}]}

A fill of null leaves missing what is missing; "-inf" is the code of a missing category, which no value has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
import numpy as np

from esteira.base.digest import canonical_json
from esteira.base.errors import BadInput, CorruptArtifact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# The digest of the bundle covers this file and the library's own beside it, and whoever made the bundle
# compared the two: neither can be changed alone later, so a reader need not compare them again.
TERMS = "terms.json"
_TRIALS = 12  # rows, half of them with missing values


class UnfitTerm(BadInput):
    """A sum with a term that has no value, or is of a column that is not there."""

    def __init__(self, column: int, reason: str) -> None:
        super().__init__(f"the term of column {column} cannot be summed: {reason}; train the model again")
        self.column, self.reason = column, reason


@dataclass(frozen=True, slots=True)
class Term:
    """What one column adds to the sum: a slope of its scaled value, or one number per category."""

    column: int
    fill: float = math.nan  # what a missing value becomes
    marks: bool = False  # the value is 1 where one is missing, else 0
    mean: float = 0.0
    scale: float = 1.0
    slope: float = 0.0
    effects: Mapping[float, float] | None = None  # category code → what it adds; others add nothing

    def of_value(self, value: float) -> float:
        """The term of one value.

        >>> Term(0, fill=5.0, mean=3.0, scale=2.0, slope=10.0).of_value(math.nan)
        10.0
        """
        is_missing = value != value  # noqa: PLR0124 - only NaN differs from itself
        filled = float(is_missing) if self.marks else self.fill if is_missing else value
        if self.effects is not None:
            return self.effects.get(filled, 0.0)
        return (filled - self.mean) / self.scale * self.slope

    def of_column(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The terms of a column, shape (rows,), each equal to the bit to `of_value`."""
        is_missing = np.isnan(values)
        filled = is_missing.astype(np.float64) if self.marks else np.where(is_missing, self.fill, values)
        if self.effects is not None:
            return np.array([self.effects.get(each, 0.0) for each in filled.tolist()])
        return (filled - self.mean) / self.scale * self.slope

    def check(self) -> None:
        """Raises: UnfitTerm (a number that is not finite, a scale that is not above 0)."""
        effects = self.effects or {}
        codes = [*effects, *(() if math.isnan(self.fill) else (self.fill,))]
        if self.effects is not None:  # a missing category has no finite code
            codes = [code for code in codes if code != -math.inf]
        if not all(map(math.isfinite, (*codes, self.mean, self.scale, self.slope, *effects.values()))):
            raise UnfitTerm(self.column, "it has a number that is not finite")
        if self.scale <= 0:
            raise UnfitTerm(self.column, f"its scale must be above 0, found {self.scale}")


@dataclass(frozen=True, slots=True)
class Terms:
    """A whole model: what it adds up, and whether the sum is log-odds (logistic) or the score itself.

    Raises: UnfitTerm, BadInput.
    >>> Terms(1, 1.0, (Term(0, fill=0.5, slope=2.0),)).scores(np.array([[3.0], [math.nan]])).tolist()
    [7.0, 2.0]
    """

    columns: int  # of a row
    intercept: float
    terms: tuple[Term, ...]
    is_logistic: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.intercept):
            raise BadInput(f"an intercept must be finite, found {self.intercept}; train the model again")
        for term in self.terms:
            if not 0 <= term.column < self.columns:
                raise UnfitTerm(term.column, f"a row has {self.columns} columns, counted from 0")
            term.check()

    def scores(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """One score a row, shapes (rows, columns) and (rows,), in the order of the terms as they stand.

        To compare with: serving has a sum of its own, which is fast and gives a row the bits of a batch.
        """
        totals = np.full(len(matrix), self.intercept)
        for term in self.terms:
            totals += term.of_column(matrix[:, term.column])
        return np.array([logistic(total) for total in totals.tolist()]) if self.is_logistic else totals

    def trial_rows(self) -> NDArray[np.float64]:
        """Rows to compare with the library that made the model, equal at each call; half miss some values.

        Shape: (12, columns). Numbers differ from column to column, or two columns could change places.
        """
        drawn = np.random.default_rng(7)
        rows = drawn.normal(size=(_TRIALS, self.columns))
        for term in self.terms:
            codes = [code for code in term.effects or () if math.isfinite(code)]
            if codes:
                rows[:, term.column] = drawn.choice(codes, _TRIALS)
            elif term.effects is None and not term.marks:
                rows[:, term.column] = term.mean + term.scale * drawn.normal(size=_TRIALS)
        half = rows[_TRIALS // 2 :]
        half[drawn.random(half.shape) < 0.3] = math.nan
        rows[-1] = math.nan
        return rows

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "columns": self.columns,
            "format": 1,
            "intercept": self.intercept,
            "link": "logistic" if self.is_logistic else "identity",
            "terms": [_plain(term) for term in self.terms],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Terms:
        """The inverse of `to_plain`. Raises: msgspec.ValidationError, BadInput."""
        return _whole(msgspec.convert(plain, _PlainTerms))

    def to_bytes(self) -> bytes:
        """As JSON, every float by the shortest digits that give it back; equal terms give equal bytes."""
        return canonical_json(self.to_plain())


def read_terms(content: bytes) -> Terms:
    """The inverse of `Terms.to_bytes`. Raises: CorruptArtifact."""
    try:
        return _whole(msgspec.json.decode(content, type=_PlainTerms))
    except (msgspec.MsgspecError, ValueError, RecursionError, BadInput) as broken:
        raise CorruptArtifact(TERMS, "the terms of a sum", str(broken)) from broken


def logistic(total: float) -> float:
    """The probability of log-odds.

    >>> logistic(0.0), logistic(-1e9), logistic(1e9)
    (0.5, 0.0, 1.0)
    """
    if total >= 0:
        return 1 / (1 + math.exp(-total))
    grown = math.exp(total)  # the other form would overflow
    return grown / (1 + grown)


_Code: TypeAlias = float | Literal["-inf"]


class _PlainTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    column: int
    fill: _Code | None
    marks: bool
    mean: float
    scale: float
    slope: float
    effects: list[tuple[_Code, float]] | None


class _PlainTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    columns: int
    format: Literal[1]
    intercept: float
    link: Literal["identity", "logistic"]
    terms: list[_PlainTerm]


def _plain(term: Term) -> dict[str, Any]:
    effects = None if term.effects is None else [[_word(code), add] for code, add in term.effects.items()]
    return {
        "column": term.column,
        "fill": None if math.isnan(term.fill) else _word(term.fill),
        "marks": term.marks,
        "mean": term.mean,
        "scale": term.scale,
        "slope": term.slope,
        "effects": effects,
    }


def _word(code: float) -> _Code:
    return "-inf" if code == -math.inf else code  # for which JSON has no number


def _whole(plain: _PlainTerms) -> Terms:
    terms = tuple(_term(each) for each in plain.terms)
    return Terms(plain.columns, plain.intercept, terms, plain.link == "logistic")


def _term(plain: _PlainTerm) -> Term:
    effects = None if plain.effects is None else {float(code): add for code, add in plain.effects}
    if effects is not None and plain.effects is not None and len(effects) < len(plain.effects):
        raise UnfitTerm(plain.column, "it names a category twice")
    fill = math.nan if plain.fill is None else float(plain.fill)
    return Term(plain.column, fill, plain.marks, plain.mean, plain.scale, plain.slope, effects)
