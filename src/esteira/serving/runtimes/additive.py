"""Reading a fitted pipeline as a sum of one term per column."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import EsteiraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class NotAdditive(EsteiraError):
    """A pipeline with a step that this file does not know."""


@dataclass(frozen=True, slots=True)
class Term:
    """What one column adds to the log odds: a slope of its scaled value, or one number per category."""

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


@dataclass(frozen=True, slots=True)
class _Output:
    """One column between two steps: the term it will become and, one-hot encoded, the category it marks."""

    term: Term
    category: float | None = None


def additive_terms(classifier: Any) -> tuple[float, tuple[Term, ...]]:  # noqa: ANN401 - vendor object
    """The intercept and the terms of a fitted pipeline that ends in a binary logistic regression.

    Known steps: SimpleImputer, StandardScaler, OneHotEncoder, passthrough, in pipelines and column
    transformers. Raises: NotAdditive.
    """
    if type(classifier).__name__ != "Pipeline" or type(classifier[-1]).__name__ != "LogisticRegression":
        raise NotAdditive(type(classifier).__name__)
    regression = classifier[-1]
    outputs = [_Output(Term(column)) for column in range(classifier.n_features_in_)]
    for _, step in classifier.steps[:-1]:
        outputs = _through(step, outputs)
    slopes = regression.coef_[0].tolist()
    if len(slopes) != len(outputs):
        raise NotAdditive(f"{len(outputs)} outputs for {len(slopes)} coefficients")
    return float(regression.intercept_[0]), _with_slopes(outputs, slopes)


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


def _through(step: Any, outputs: list[_Output]) -> list[_Output]:  # noqa: ANN401 - of scikit-learn
    """What a fitted step makes of its input columns."""
    if step == "passthrough":
        return outputs
    kind = type(step).__name__
    if kind not in _STEPS:
        raise NotAdditive(kind)
    made: list[_Output] = _STEPS[kind](step, outputs)
    return made


def _pipeline(step: Any, outputs: list[_Output]) -> list[_Output]:  # noqa: ANN401 - of scikit-learn
    for _, inner in step.steps:
        outputs = _through(inner, outputs)
    return outputs


def _column_transformer(step: Any, outputs: list[_Output]) -> list[_Output]:  # noqa: ANN401 - of scikit-learn
    if step.transformer_weights:
        raise NotAdditive("transformer_weights")
    made: list[_Output] = []
    for _, inner, columns in step.transformers_:
        taken = [outputs[at] for at in np.arange(len(outputs))[columns]]
        if taken and not (isinstance(inner, str) and inner == "drop"):  # without columns it was never fitted
            made += _through(inner, taken)
    return made


def _passed(step: Any, outputs: list[_Output]) -> list[_Output]:  # noqa: ANN401 - of scikit-learn
    if step.func is not None:
        raise NotAdditive("a function")
    return outputs


def _imputed(step: Any, outputs: list[_Output]) -> list[_Output]:  # noqa: ANN401 - of scikit-learn
    if not _is_nan(step.missing_values) or not _are_raw(outputs):
        raise NotAdditive("an imputer after another step, or of other values than NaN")
    filled = [
        _Output(replace(output.term, fill=fill))
        for output, fill in zip(outputs, step.statistics_.tolist(), strict=True)
        if not _is_nan(fill)  # scikit-learn drops a column that was empty in training
    ]
    marked = step.indicator_.features_.tolist() if step.add_indicator else []
    return [*filled, *(_Output(replace(outputs[at].term, marks=True)) for at in marked)]


def _scaled(step: Any, outputs: list[_Output]) -> list[_Output]:  # noqa: ANN401 - of scikit-learn
    if not all(output.category is None and output.term.scale == 1 for output in outputs):
        raise NotAdditive("a scaler after another step than an imputer")
    means = step.mean_.tolist() if step.with_mean else [0.0] * len(outputs)
    scales = step.scale_.tolist() if step.with_std else [1.0] * len(outputs)
    return [
        _Output(replace(output.term, mean=mean, scale=scale))
        for output, mean, scale in zip(outputs, means, scales, strict=True)
    ]


def _one_hot(step: Any, outputs: list[_Output]) -> list[_Output]:  # noqa: ANN401 - of scikit-learn
    if not (step.drop is step.min_frequency is step.max_categories is None):
        raise NotAdditive("an encoder that does more than mark categories")
    if any(output.category is not None or output.term.marks for output in outputs):
        raise NotAdditive("an encoder of an encoder")
    made = []
    for output, categories in zip(outputs, step.categories_, strict=True):
        term, codes = output.term, [float(category) for category in categories]
        if codes and _is_nan(codes[-1]):  # missing is a category: it gets a code that no value has
            term, codes = replace(term, fill=-math.inf), [*codes[:-1], -math.inf]
        made += [_Output(term, code) for code in codes]
    return made


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
