"""Reading a fitted pipeline of scikit-learn as a sum of one term per column.

It looks at the names of types and at their attributes, and imports no scikit-learn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput, EsteiraError
from esteira.registry.terms import Term, Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import SupportsFloat

    from numpy.typing import NDArray

    Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    Places = Any  # whatever picks columns: places, a mask, a slice
    Step = Any  # an estimator or a part of one; scikit-learn ships no types

_LOGISTIC = "LogisticRegression"
_REGRESSIONS = frozenset({_LOGISTIC, "LinearRegression", "Ridge", "Lasso", "ElasticNet"})
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12  # two orders of adding agree to far more digits


class NotAdditive(EsteiraError):
    """A pipeline with a step that this file does not know."""


@dataclass(frozen=True, slots=True)
class _Output:
    """One column between two steps: the term it will become and, one-hot encoded, the category it marks."""

    term: Term
    category: float | None = None


def agreed_terms(
    estimator: Step,
    score: Score,
    rows: NDArray[np.float64] | None = None,
) -> Terms | None:
    """A fitted estimator as a sum; None if it is none, or if the sum says something else than it says.

    `score` is the estimator's own answer, shapes (rows, columns) and (rows,). Compared are `rows`, if given,
    and rows that the terms make up, with missing values and without. Of those a row that `score` refuses
    with BadInput is passed over; if it refuses all, nothing was compared, and there is no sum.
    """
    try:
        found = additive_terms(estimator)
    except NotAdditive:
        return None
    if rows is not None and not _agree(found.scores(rows), score(rows)):
        return None
    compared = 0
    for row in found.trial_rows():
        try:
            expected = score(row[np.newaxis])
        except BadInput:
            continue
        if not _agree(found.scores(row[np.newaxis]), expected):
            return None
        compared += 1
    return found if compared else None


def _agree(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> bool:
    return np.allclose(ours, theirs, rtol=_RELATIVE, atol=_ABSOLUTE)


def additive_terms(pipeline: Step) -> Terms:
    """A fitted pipeline that ends in a binary logistic or a linear regression, read as a sum and not tried.

    Known steps: SimpleImputer, StandardScaler, OneHotEncoder, passthrough, in pipelines and column
    transformers. Raises: NotAdditive.
    """
    if type(pipeline).__name__ != "Pipeline" or type(pipeline[-1]).__name__ not in _REGRESSIONS:
        raise NotAdditive(type(pipeline).__name__)
    regression, columns = pipeline[-1], pipeline.n_features_in_
    outputs = [_Output(Term(column)) for column in range(columns)]
    for _, step in pipeline.steps[:-1]:
        outputs = _through(step, outputs)
    if len(np.atleast_2d(regression.coef_)) != 1:
        raise NotAdditive("several targets")
    slopes = np.ravel(regression.coef_).tolist()
    if len(slopes) != len(outputs):
        raise NotAdditive(f"{len(outputs)} outputs for {len(slopes)} coefficients")
    intercept, is_logistic = float(np.ravel(regression.intercept_)[0]), type(regression).__name__ == _LOGISTIC
    try:
        return Terms(columns, intercept, _with_slopes(outputs, slopes), is_logistic)
    except BadInput as unfit:
        raise NotAdditive(str(unfit)) from unfit


def _with_slopes(outputs: Sequence[_Output], slopes: Sequence[float]) -> tuple[Term, ...]:
    terms: list[Term] = []
    for output, slope in zip(outputs, slopes, strict=True):
        last = terms[-1] if terms else None
        if output.category is None:
            terms.append(replace(output.term, slope=slope))
        elif (
            last
            and last.effects
            and last.column == output.term.column
            and output.category not in last.effects
        ):
            terms[-1] = replace(last, effects={**last.effects, output.category: slope})
        else:
            terms.append(replace(output.term, effects={output.category: slope}))
    return tuple(terms)


def _through(step: Step, outputs: list[_Output]) -> list[_Output]:
    """What a fitted step makes of its input columns."""
    if step == "passthrough":
        return outputs
    kind = type(step).__name__
    if kind not in _STEPS:
        raise NotAdditive(kind)
    made: list[_Output] = _STEPS[kind](step, outputs)
    return made


def _pipeline(step: Step, outputs: list[_Output]) -> list[_Output]:
    for _, inner in step.steps:
        outputs = _through(inner, outputs)
    return outputs


def _column_transformer(step: Step, outputs: list[_Output]) -> list[_Output]:
    if step.transformer_weights:
        raise NotAdditive("transformer_weights")
    made: list[_Output] = []
    for _, inner, columns in step.transformers_:
        taken = [outputs[at] for at in _places(columns, len(outputs))]
        if taken and not (isinstance(inner, str) and inner == "drop"):  # without columns it was never fitted
            made += _through(inner, taken)
    return made


def _places(columns: Places, width: int) -> list[int]:
    try:
        found: list[int] = np.ravel(np.arange(width)[columns]).tolist()
    except IndexError as named:
        raise NotAdditive("columns that are not given by their places") from named
    return found


def _passed(step: Step, outputs: list[_Output]) -> list[_Output]:
    if step.func is not None:
        raise NotAdditive("a function")
    return outputs


def _imputed(step: Step, outputs: list[_Output]) -> list[_Output]:
    if not _is_nan(step.missing_values) or not _are_raw(outputs):
        raise NotAdditive("an imputer after another step, or of other values than NaN")
    filled = [
        _Output(replace(output.term, fill=fill))
        for output, fill in zip(outputs, _numbers(step.statistics_, "a filling"), strict=True)
        if not _is_nan(fill)  # scikit-learn drops a column that was empty in training
    ]
    marked = step.indicator_.features_.tolist() if step.add_indicator else []
    return [*filled, *(_Output(replace(outputs[at].term, marks=True)) for at in marked)]


def _scaled(step: Step, outputs: list[_Output]) -> list[_Output]:
    if not all(output.category is None and output.term.scale == 1 for output in outputs):
        raise NotAdditive("a scaler after another step than an imputer")
    means = step.mean_.tolist() if step.with_mean else [0.0] * len(outputs)
    scales = step.scale_.tolist() if step.with_std else [1.0] * len(outputs)
    return [
        _Output(replace(output.term, mean=mean, scale=scale))
        for output, mean, scale in zip(outputs, means, scales, strict=True)
    ]


def _one_hot(step: Step, outputs: list[_Output]) -> list[_Output]:
    if not (step.drop is step.min_frequency is step.max_categories is None):
        raise NotAdditive("an encoder that does more than mark categories")
    if any(output.category is not None or output.term.marks for output in outputs):
        raise NotAdditive("an encoder of an encoder")
    made = []
    for output, categories in zip(outputs, step.categories_, strict=True):
        term, codes = output.term, _numbers(categories, "a category")
        if codes and _is_nan(codes[-1]):  # missing is a category: it gets a code that no value has
            term, codes = replace(term, fill=-math.inf), [*codes[:-1], -math.inf]
        made += [_Output(term, code) for code in codes]
    return made


def _numbers(values: Iterable[SupportsFloat], what: str) -> list[float]:
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError) as strange:
        raise NotAdditive(f"{what} that is no number") from strange


def _are_raw(outputs: Sequence[_Output]) -> bool:
    return all(
        output.category is None
        and not output.term.marks
        and _is_nan(output.term.fill)
        and (output.term.mean, output.term.scale) == (0, 1)
        for output in outputs
    )


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


_STEPS = {
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
    "FunctionTransformer": _passed,
    "SimpleImputer": _imputed,
    "StandardScaler": _scaled,
    "OneHotEncoder": _one_hot,
}
