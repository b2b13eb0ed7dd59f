"""Fitting encodings: what each raw column shall become, learnt from the training rows and from no other.

>>> import pyarrow as pa
>>> from esteira.registry.signature import Column, Signature
>>> signature = Signature((Column("miles"), Column("dest", "category", ("BOS", "MIA"))), "late")
>>> rows = pa.table({"miles": [100, 300], "dest": ["MIA", "BOS"], "late": [True, False]})
>>> fit_encodings(rows, signature, {"miles": Standard(), "dest": OneHot()}).encode_matrix(
...     signature.encode_table(rows)).tolist()
[[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from esteira.base.errors import BadInput, UnknownName
from esteira.registry.encodings import Encodings, Fitted, Kept, Mapped, Marked, Scaled, UnfitEncoding
from esteira.training.examples import Examples, read_examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from esteira.registry.columns import Column
    from esteira.registry.signature import Signature

    Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Keep:
    """As it is: what every column that is not named gets. LightGBM splits kept categories by itself."""

    def fit(self, column: Column, values: Vector, labels: Vector) -> Kept:
        return Kept()


@dataclass(frozen=True, slots=True)
class Standard:
    """A number less its mean, in standard deviations (1 where the column is constant or empty).

    A missing number stays missing or, with `impute`, becomes the mean.
    """

    impute: bool = False

    def fit(self, column: Column, values: Vector, labels: Vector) -> Scaled:
        present = _present(column, "standard", values)
        if present.min() == present.max():  # whose mean and deviation, as sums, are not exact
            return _scaled(column, "standard", float(present[0]), 0.0, self.impute)
        with np.errstate(over="ignore", invalid="ignore"):
            center, spread = float(present.mean()), float(present.std())
        return _scaled(column, "standard", center, spread, self.impute)


@dataclass(frozen=True, slots=True)
class Robust:
    """A number less its median, in distances between its quartiles (1 where these are equal).

    A few wild values move nothing. A missing number stays missing or, with `impute`, becomes the median.
    """

    impute: bool = False

    def fit(self, column: Column, values: Vector, labels: Vector) -> Scaled:
        present = _present(column, "robust", values)
        with np.errstate(over="ignore", invalid="ignore"):
            low, middle, high = np.quantile(present, [0.25, 0.5, 0.75]).tolist()
        return _scaled(column, "robust", middle, high - low, self.impute)


@dataclass(frozen=True, slots=True)
class Ordinal:
    """A category as its place in `order` or, without one, in the signature; a missing one stays missing.

    An order names every category of the training rows; it may name more.
    """

    order: tuple[str, ...] = ()

    def fit(self, column: Column, values: Vector, labels: Vector) -> Mapped:
        _codes(column, "ordinal", values)
        places = {name: float(place) for place, name in enumerate(self.order or column.categories)}
        absent = sorted(set(column.categories) - set(places))
        if absent or len(places) < len(self.order):
            fault = f"lacks {absent[0]!r}" if absent else "names a category twice"
            raise UnfitEncoding(column.name, "ordinal", f"its order {fault}; name each category once")
        return Mapped("ordinal", tuple(places[name] for name in column.categories), None)


@dataclass(frozen=True, slots=True)
class OneHot:
    """A column of 0 and 1 for each category with at least `min_count` training rows.

    A rarer category, a new one and a missing one are 0 in all: raw vectors do not tell the last two apart.
    """

    min_count: int = 1

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise BadInput(f"min_count must be at least 1 row, found {self.min_count}")

    def fit(self, column: Column, values: Vector, labels: Vector) -> Marked:
        codes = _codes(column, "one_hot", values)
        counts = np.bincount(codes, minlength=len(column.categories) + 1)[:-1]
        common = tuple(np.flatnonzero(counts >= self.min_count).tolist())
        if not common:
            reason = f"no category has {self.min_count} rows; lower min_count or leave the column out"
            raise UnfitEncoding(column.name, "one_hot", reason)
        return Marked(common)


@dataclass(frozen=True, slots=True)
class Target:
    """A category as the share of positive training rows in it, pulled to the overall share.

    The pull weighs as much as `smoothing` rows. A missing or new category is encoded as the missing ones of
    training are; when there were none, as the overall share. A training row is encoded out of fold: by the
    rows of the other folds alone, for its own label would be told by the mean that it is part of. Folds are
    stretches of time, not a draw: neighbours in time share their fate, and would tell it to each other.
    """

    folds: int = 5
    smoothing: float = 20.0

    def __post_init__(self) -> None:
        if self.folds < 2 or not 0 < self.smoothing < np.inf:
            raise BadInput(
                f"target encoding needs 2 folds or more and a smoothing above 0, found {self.folds} "
                f"and {self.smoothing}"
            )

    def fit(self, column: Column, values: Vector, labels: Vector) -> Mapped:
        codes = _codes(column, "target", values)
        counts = np.bincount(codes, minlength=len(column.categories) + 1)
        sums = np.bincount(codes, labels, minlength=len(counts))
        *shares, missing = self._shares(sums, counts).tolist()
        return Mapped("target", tuple(shares), missing)

    def out_of_fold(self, column: Column, values: Vector, labels: Vector) -> Vector:
        """The training rows, oldest first, each by the rows of the other folds. Shapes: (rows,)."""
        codes, rows, width = _codes(column, "target", values), len(values), len(column.categories) + 1
        if rows < self.folds:
            raise UnfitEncoding(column.name, "target", f"{rows} rows make no {self.folds} folds; take fewer")
        fold = np.arange(rows) * self.folds // rows
        shape, cells = (self.folds, width), fold * width + codes
        counts = np.bincount(cells, minlength=self.folds * width).reshape(shape)
        sums = np.bincount(cells, labels, minlength=self.folds * width).reshape(shape)
        encoded: Vector = self._shares(sums.sum(axis=0) - sums, counts.sum(axis=0) - counts)[fold, codes]
        return encoded

    def _shares(self, sums: NDArray[Any], counts: NDArray[Any]) -> Vector:
        overall = sums.sum(axis=-1, keepdims=True) / counts.sum(axis=-1, keepdims=True)
        shares: Vector = (sums + self.smoothing * overall) / (counts + self.smoothing)
        return shares


Encoding: TypeAlias = Keep | Standard | Robust | Ordinal | OneHot | Target


@dataclass(frozen=True, slots=True)
class Prepared:
    """Training rows as the trainer is to see them, and what encodes all other rows."""

    examples: Examples  # encoded, out of fold where targets are
    signature: Signature  # of the encoded columns
    encodings: Encodings | None = None  # None: the columns are the raw ones
    facts: Mapping[str, Any] = field(default_factory=dict)  # what was asked for, as a model's facts tell it

    def encode(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw rows that were not learnt from, as serving will encode them."""
        return self.encodings.encode_matrix(matrix) if self.encodings else matrix


def fit_encodings(table: pa.Table, signature: Signature, encode: Mapping[str, Encoding]) -> Encodings:
    """The encodings of a signature's columns, fitted on the rows of `table`; unnamed columns are kept.

    For other rows than these: a trainer that is given `encode` fits the same, and encodes the rows that it
    learns from out of fold.

    Raises: UnknownName (a column), UnfitEncoding, UnusableTarget, WrongInput.
    """
    return _fit(read_examples(table, signature), signature, encode)


def prepare(examples: Examples, signature: Signature, encode: Mapping[str, Encoding] | None) -> Prepared:
    """Encode training rows, which come oldest first. Raises: UnknownName, UnfitEncoding, BadInput."""
    encode = encode or {}
    encodings = _fit(examples, signature, encode)
    asked = {name: encoding for name, encoding in encode.items() if encoding != Keep()}
    if not asked:
        return Prepared(examples, signature)
    encoded, matrix = encodings.encoded(signature), encodings.encode_matrix(examples.matrix)
    for at, column in enumerate(signature.columns):
        encoding = asked.get(column.name)
        if isinstance(encoding, Target):
            place = encoded.names.index(f"{column.name}~target")
            matrix[:, place] = encoding.out_of_fold(column, examples.matrix[:, at], examples.labels)
    facts = {"encode": {name: repr(encoding) for name, encoding in asked.items()}}
    return Prepared(Examples(matrix, examples.labels), encoded, encodings, facts)


def _fit(examples: Examples, signature: Signature, encode: Mapping[str, Encoding]) -> Encodings:
    for name, encoding in encode.items():
        if name not in signature.names:
            raise UnknownName("column to encode", name, signature.names)
        if not isinstance(encoding, Encoding):
            raise BadInput(f"the encoding of {name!r} must be one such as OneHot(), found {encoding!r}")
    fitted: list[Fitted] = [
        encode.get(column.name, Keep()).fit(column, values, examples.labels)
        for column, values in zip(signature.columns, examples.matrix.T, strict=True)
    ]
    encodings = Encodings(tuple(fitted))
    encodings.encoded(signature)  # two columns of one name are told before any training
    return encodings


def _present(column: Column, encoding: str, values: Vector) -> Vector:
    """The numbers of a column without its gaps; of an empty one, a zero."""
    if column.kind != "number":
        raise UnfitEncoding(column.name, encoding, "it is a category; take OneHot, Ordinal or Target")
    present = values[~np.isnan(values)]
    return present if len(present) else np.zeros(1)


def _codes(column: Column, encoding: str, values: Vector) -> NDArray[np.intp]:
    """The category codes of a column; missing is the code after the last."""
    if column.kind != "category":
        raise UnfitEncoding(column.name, encoding, "it is a number; take Standard or Robust")
    codes: NDArray[np.intp] = np.nan_to_num(values, nan=len(column.categories)).astype(np.intp)
    return codes


def _scaled(column: Column, by: str, center: float, spread: float, impute: bool) -> Scaled:  # noqa: FBT001 - a fact that was fitted, not a switch
    if not np.isfinite([center, spread]).all():
        raise UnfitEncoding(column.name, by, "its numbers are infinite or too large; mend them or keep it")
    return Scaled(by, center, spread or 1.0, impute)
