"""Whether a version that was just loaded is fit to serve: rows made from what it asks for, scored two ways.

A row alone and the same row among others must give equal scores, or an answer would depend on who else asks
at that moment; and every score must be a finite number. The rows are the same on every machine.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput, EsteiraError
from esteira.registry.columns import MISSING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model
    from esteira.registry.columns import Column
    from esteira.registry.tensors import TensorSignature, TensorSpec
    from esteira.serving.costs import Cost
    from esteira.serving.runtimes.port import Runtime, TensorRuntime

log = logging.getLogger(__name__)

ROWS = 8
RELATIVE, ABSOLUTE = 1e-4, 1e-6  # what a runtime may differ by that says that it is not exact: float32
_STEP = 0.6180339887498949  # of the golden ratio: multiples of it, modulo 1, spread evenly


class UnfitToServe(EsteiraError):
    """A version whose scores cannot be trusted."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the version is not fit to serve: {reason}; train it again, or keep the one before")


def probe_rows(columns: tuple[Column, ...]) -> NDArray[np.float64]:
    """Rows that the model may see: the first as empty as it gets, the others of numbers from 0 to 1.

    Shape: (ROWS, columns). A number that is always there is never missing.
    >>> probe_rows(())[0].tolist()
    []
    """
    rows = np.empty((ROWS, len(columns)))
    for at, column in enumerate(columns):
        spread = (np.arange(ROWS) * _STEP + at * _STEP * _STEP) % 1.0
        if column.kind == "category":
            spread = np.floor(spread * len(column.categories)) if column.categories else spread * MISSING
        rows[:, at] = spread
        may_miss = column.kind == "category" or column.optional or not column.is_requested
        rows[0, at] = MISSING if may_miss else 0.0
    return rows


def check_rows(model: Model, runtime: Runtime, cost: Cost | None = None) -> None:
    """Warm a model of columns up, see that it answers alike, alone and in company, and let `cost` learn.

    Raises: UnfitToServe, and what the runtime raises. A runtime that `judges_rows` may refuse them: its
    model has rules that no signature can say, as that a number is whole.
    """
    rows, may_wait = probe_rows(model.signature.columns), getattr(runtime, "may_wait", False)
    try:
        alone, together = _of_combination(runtime, rows) if may_wait else _two_ways(runtime, rows)
        if cost is not None and not may_wait:  # a member that is given up on costs nothing, until it is back
            _time(runtime, rows, cost)
    except BadInput as refused:
        if not getattr(runtime, "judges_rows", False):
            raise
        log.info("a version could not be tried", extra={"reason": str(refused)})
        return
    _compare(alone, together, is_exact=getattr(runtime, "is_exact", True))


def _two_ways(runtime: Runtime, rows: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.array([runtime.predict_row(row) for row in rows.tolist()]), runtime.predict(rows)


def _of_combination(runtime: Any, rows: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:  # noqa: ANN401 - a runtime that has parts
    """The same of a combination with deadlines: of rows for which its members gave the same both times.

    A member that was late once makes another score, which says nothing against the combination.
    """
    each = [runtime.predict_row_parts(row) for row in rows.tolist()]
    alone, parts_alone = (np.array(found) for found in zip(*each, strict=True))
    together, parts = runtime.predict_parts(rows)
    is_same = ((parts_alone == parts) | (np.isnan(parts_alone) & np.isnan(parts))).all(axis=1)
    return alone, np.where(is_same, together, alone)


def _time(runtime: Runtime, rows: NDArray[np.float64], cost: Cost) -> None:
    """Learn the cost of a model that is warm by now."""
    started = perf_counter()
    runtime.predict_row(rows[1].tolist())
    alone_s = perf_counter() - started
    runtime.predict(rows)
    cost.observe(ROWS, perf_counter() - started - alone_s)
    cost.observe(1, alone_s)


def check_tensors(signature: TensorSignature, runtime: TensorRuntime, cost: Cost | None = None) -> None:
    """The same of a model of tensors; rows are compared where the first dimension is that of rows.

    Raises: UnfitToServe, and what the runtime raises.
    """
    if not signature.is_batched:
        _run(signature, runtime, {each.name: _zeros(each, 1) for each in signature.inputs})
        return
    inputs = {each.name: _zeros(each, 2) for each in signature.inputs}
    together = _run(signature, runtime, inputs)
    first = _run(signature, runtime, {name: np.ascontiguousarray(each[:1]) for name, each in inputs.items()})
    if cost is not None:
        started = perf_counter()
        runtime.run(inputs)
        cost.observe(2, perf_counter() - started)
    is_exact = getattr(runtime, "is_exact", True)
    for name, found in first.items():
        if np.issubdtype(found.dtype, np.number):
            _compare(found.ravel(), together[name][:1].ravel(), is_exact=is_exact)


def _run(
    signature: TensorSignature, runtime: TensorRuntime, inputs: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    outputs = runtime.run(inputs)
    for spec in signature.outputs:
        found = outputs.get(spec.name)
        if found is None or not spec.fits(found.shape):
            shown = "nothing" if found is None else f"shape {found.shape}"
            raise UnfitToServe(f"output {spec.name!r} should have shape {spec.shape}, found {shown}")
    return outputs


def _zeros(spec: TensorSpec, rows: int) -> NDArray[Any]:
    shape = [max(size, 1) if size else 0 for size in spec.shape]
    if spec.shape[:1] == (-1,):
        shape[0] = rows
    return np.full(shape, "", dtype=object) if spec.dtype == "object" else np.zeros(shape, dtype=spec.dtype)


def _compare(alone: NDArray[Any], together: NDArray[Any], *, is_exact: bool) -> None:
    if alone.shape != together.shape:
        raise UnfitToServe(f"{alone.shape} scores alone and {together.shape} in a batch")
    for row, (one, other) in enumerate(zip(alone.tolist(), together.tolist(), strict=True)):
        if not np.isfinite(one):
            shown = "; what may be missing in a request was missing in it" if not row else ""
            raise UnfitToServe(f"row {row} of those that every version is tried with scores {one}{shown}")
        if one != other and (is_exact or not np.isclose(one, other, rtol=RELATIVE, atol=ABSOLUTE)):
            raise UnfitToServe(f"row {row} scores {one} alone and {other} in a batch")
