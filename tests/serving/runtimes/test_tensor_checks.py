from __future__ import annotations

import numpy as np
import pytest

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.runtimes.tensor_checks import (
    RefusedTensors,
    UnlikeModel,
    check_column_count,
    check_inputs,
    check_signature,
)

PIXELS, SCORE, LABEL = (
    TensorSpec("pixels", "FP32", (-1, 4)),
    TensorSpec("score", "FP64", (-1,)),
    TensorSpec("label", "INT64", (-1,)),
)
FILES = TensorSignature((PIXELS,), (LABEL, SCORE))


def test_all_inputs_and_any_outputs_fit() -> None:
    check_signature(FILES, FILES)
    check_signature(TensorSignature((PIXELS,), (SCORE,)), FILES)


def test_a_size_that_the_files_leave_open_may_be_told_but_not_the_other_way() -> None:
    closed = TensorSignature((TensorSpec("pixels", "FP32", (1, 4)),), (SCORE,))
    check_signature(closed, FILES)
    with pytest.raises(UnlikeModel, match=r"\[1, 4\].*\[-1, 4\]"):
        check_signature(FILES, TensorSignature(closed.inputs, FILES.outputs))


@pytest.mark.parametrize(
    "told",
    [
        TensorSignature((PIXELS, LABEL), (SCORE,)),
        TensorSignature((SCORE,), (SCORE,)),
        TensorSignature((PIXELS,), (PIXELS,)),
        TensorSignature((TensorSpec("pixels", "FP64", (-1, 4)),), (SCORE,)),
        TensorSignature((TensorSpec("pixels", "FP32", (-1, 5)),), (SCORE,)),
        TensorSignature((TensorSpec("pixels", "FP32", (-1,)),), (SCORE,)),
    ],
)
def test_other_tensors_are_refused(told: TensorSignature) -> None:
    with pytest.raises(UnlikeModel, match="take them from the files"):
        check_signature(told, FILES)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"pixels": np.zeros((2, 4))},
        {"pixels": np.zeros((2, 5), dtype=np.float32)},
        {"pixels": np.zeros(4, dtype=np.float32)},
    ],
)
def test_tensors_that_the_model_does_not_take_are_refused_with_what_to_send(
    inputs: dict[str, np.ndarray],
) -> None:
    with pytest.raises(RefusedTensors, match=r"'pixels'.*send 'pixels' FP32 \[-1, 4\]"):
        check_inputs((PIXELS,), inputs)


def test_a_model_of_columns_takes_one_matrix_of_floats() -> None:
    check_column_count("file", 4, PIXELS)
    check_column_count("file", 9, TensorSpec("x", "FP64", (-1, -1)))
    with pytest.raises(CorruptArtifact, match="expected 3 columns, found 4"):
        check_column_count("file", 3, PIXELS)
    for spec in (LABEL, SCORE, TensorSpec("x", "FP32", (1, 4)), TensorSpec("x", "INT64", (-1, 4))):
        with pytest.raises(BadInput, match=r"\[-1, 4\]"):
            check_column_count("file", 4, spec)
