"""From one runtime to a faster one: converted, and held against itself before anybody may use it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput, CorruptArtifact, EsteiraError, MissingExtra, UnknownName
from esteira.base.optional import load
from esteira.serving.conversions.parity import (
    FEWEST_ROWS,
    Limits,
    Parity,
    ParityFailed,
    TooFewRows,
    hold,
    measure,
)
from esteira.serving.conversions.port import NotConvertible
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model
    from esteira.serving.conversions.port import Conversion
    from esteira.serving.runtimes.port import Runtime

CONVERSIONS = {
    "lleaves": "esteira.serving.conversions.lleaves:to_lleaves",
    "onnx": "esteira.serving.conversions.onnx:to_onnx",
}
_USUAL = Limits()


class Converted(NamedTuple):
    """A model in another form, and how far that is from what it was."""

    model: Model
    parity: Parity


def convert(model: Model, to: str, rows: NDArray[np.float64], limits: Limits = _USUAL) -> Converted:
    """The model in the form `to`, once both have scored the recorded rows alike.

    Shapes: rows (rows, raw columns). Of several forms the first that passes is taken; signature and encodings
    stay as they are, and the facts say from what it was made and how it was judged. Equal input gives equal
    bytes. Raises: UnknownName, MissingExtra, NotConvertible, TooFewRows, ParityFailed, and as `open_runtime`.
    """
    if to not in CONVERSIONS:
        raise UnknownName("conversion", to, CONVERSIONS)
    if model.tensors is not None:
        raise NotConvertible(to, "it is a model of tensors, and no rows of those are recorded")
    if len(rows) < FEWEST_ROWS:
        raise TooFewRows(len(rows))
    conversion: Conversion = load(CONVERSIONS[to])
    before = open_runtime(model)
    failed: EsteiraError = NotConvertible(to, "it has no such form")
    for form in conversion(model):
        try:
            parity = _judged(form, before, rows, limits)
        except (ParityFailed, NotConvertible) as refused:
            failed = refused
        else:
            found = {"parity_rows": parity.rows, "parity_greatest": parity.greatest}
            facts = {**form.facts, "converted_from": digest_of(model), **found}
            return Converted(replace(form, facts=facts), parity)
    raise failed


def _judged(form: Model, before: Runtime, rows: NDArray[np.float64], limits: Limits) -> Parity:
    try:
        parity = measure(before, open_runtime(form), rows, limits.threshold)
    except (MissingExtra, UnknownName):
        raise
    except (CorruptArtifact, BadInput) as unusable:  # no kernels for it, or a recorded row that it refuses
        raise NotConvertible(form.runtime, str(unusable)) from unusable
    hold(parity, limits, form.signature, rows)
    return parity


def digest_of(model: Model) -> str:
    """The digest that a model's bundle has in every store."""
    with TemporaryDirectory() as folder:
        model.save(Path(folder))
        return digest_folder(Path(folder))
