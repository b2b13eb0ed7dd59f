"""scikit-learn to ONNX by skl2onnx: in float64 first, which keeps the scores to the last digits.

On the pipelines that esteira trains: 2e-16 apart in float64, 1e-7 in float32. skl2onnx has no float64
form of some estimators, of trees above all; float32 remains for those, and the parity gate judges it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import skl2onnx
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from esteira.serving.conversions.port import NotConvertible
from esteira.serving.runtimes.sklearn import load_estimator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.registry.bundle import Model

    Foreign = Any  # of scikit-learn and skl2onnx, which ship no types

NAME, PAYLOAD = "onnx", "model.onnx"
_OPSETS = {"": 18, "ai.onnx.ml": 3}  # fixed, so that another version of onnx writes the same graph
_IMPUTER = next(kind for kind in sklearn_operator_name_map if kind.__name__ == "SimpleImputer")


def to_onnx(model: Model) -> Iterator[Model]:
    """The native part as a graph of one float64 tensor, then as one of float32.

    Raises: NotConvertible (another runtime, or an estimator that skl2onnx does not know).
    """
    if model.runtime != "sklearn":
        raise NotConvertible(NAME, "only scikit-learn models have such a form")
    estimator, columns = load_estimator(model), len(model.native_signature.columns)
    for kind, name in ((DoubleTensorType, "float64"), (FloatTensorType, "float32")):
        graph = _graph(estimator, kind([None, columns]))
        made = {"converted_by": f"skl2onnx {skl2onnx.__version__}", "precision": name}
        yield replace(model, runtime=NAME, files={PAYLOAD: graph}, facts={**model.facts, **made})


def _graph(estimator: Foreign, rows: Foreign) -> bytes:
    try:
        graph = skl2onnx.convert_sklearn(
            estimator,
            "esteira",
            [("rows", rows)],
            options={id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None,
            target_opset=_OPSETS,
            custom_conversion_functions={_IMPUTER: _imputed},
            custom_shape_calculators={_IMPUTER: _imputed_shape},
        )
    except Exception as unknown:  # each converter raises what it likes
        reason = " ".join(str(unknown).split())[:200]
        raise NotConvertible(NAME, f"skl2onnx says: {reason}") from unknown
    graph.producer_version = ""  # else another version gives other bytes for the same graph
    graph.opset_import.sort(key=lambda each: each.domain)  # they come out of a set
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


# skl2onnx leaves out the marks of missing values (add_indicator), which the models trained here have.


def _imputed_shape(operator: Foreign) -> None:
    step, given = operator.raw_operator, operator.inputs[0].type
    width = len(_kept(step)) + (len(step.indicator_.features_) if step.add_indicator else 0)
    operator.outputs[0].type = type(given)([given.shape[0], width])


def _imputed(scope: Foreign, operator: Foreign, container: Foreign) -> None:
    """Nodes that fill what is missing, and mark where that was."""
    step, given = operator.raw_operator, operator.inputs[0]
    if not isinstance(step.missing_values, float):
        raise NotConvertible(NAME, "an imputer of other values than NaN")
    kind = onnx.TensorProto.DOUBLE if isinstance(given.type, DoubleTensorType) else onnx.TensorProto.FLOAT

    def node(kind_of: str, inputs: list[str], **attributes: object) -> str:
        made: str = scope.get_unique_variable_name(kind_of.lower())
        name = scope.get_unique_operator_name(kind_of)
        container.add_node(kind_of, inputs, [made], name=name, op_version=13, **attributes)
        return made

    def constant(values: Foreign, of: int) -> str:
        name: str = scope.get_unique_variable_name("constant")
        container.add_initializer(name, of, [len(values)], values.tolist())
        return name

    is_missing = node("IsNaN", [given.full_name])
    fills = constant(np.nan_to_num(step.statistics_.astype(np.float64)), kind)
    filled = node("Where", [is_missing, fills, given.full_name])
    parts = [node("Gather", [filled, constant(_kept(step), onnx.TensorProto.INT64)], axis=1)]
    if step.add_indicator:
        marked = constant(step.indicator_.features_, onnx.TensorProto.INT64)
        parts.append(node("Cast", [node("Gather", [is_missing, marked], axis=1)], to=kind))
    name = scope.get_unique_operator_name("Concat")
    container.add_node("Concat", parts, [operator.outputs[0].full_name], name=name, axis=1, op_version=13)


def _kept(step: Foreign) -> Foreign:
    """The columns that the imputer passes on: one that was empty in training only when it was told so."""
    is_empty = np.isnan(step.statistics_.astype(np.float64))
    return np.flatnonzero(~is_empty | step.keep_empty_features)
