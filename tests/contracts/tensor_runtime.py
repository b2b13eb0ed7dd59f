"""What every runtime of tensors owes: the tensors it promised, alike alone and in company, on any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.runtimes import open_tensor_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model
    from esteira.serving.runtimes.port import TensorRuntime


class TensorRuntimeContract:
    """Subclass it and give `model`, cached, of batched tensors, `inputs`, and what its own library says."""

    rtol = 1e-4
    atol = 1e-6

    def model(self) -> Model:
        """A model of batched tensors whose runtime is the one to test."""
        raise NotImplementedError

    def inputs(self, rows: int) -> dict[str, NDArray[Any]]:
        """Inputs of so many rows, equal at each call."""
        raise NotImplementedError

    def outputs_of_the_library(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The outputs by the library that made the model."""
        raise NotImplementedError

    def open(self) -> TensorRuntime:
        return open_tensor_runtime(self.model())

    def signature(self) -> TensorSignature:
        tensors = self.model().tensors
        assert tensors is not None
        return tensors

    def close(self, left: NDArray[Any], right: NDArray[Any]) -> None:
        np.testing.assert_allclose(left, right, rtol=self.rtol, atol=self.atol)

    def test_outputs_are_those_of_the_library(self) -> None:
        inputs = self.inputs(7)
        found, expected = self.open().run(inputs), self.outputs_of_the_library(inputs)
        assert found.keys() == {spec.name for spec in self.signature().outputs}
        for name, output in found.items():
            self.close(output, expected[name])

    def test_outputs_have_the_names_dtypes_and_shapes_that_were_promised(self) -> None:
        found = self.open().run(self.inputs(3))
        for spec in self.signature().outputs:
            assert found[spec.name].dtype == np.dtype(spec.dtype)
            assert spec.fits(found[spec.name].shape)
            assert found[spec.name].flags.c_contiguous

    def test_a_row_alone_agrees_with_the_same_row_among_others(self) -> None:
        runtime, inputs = self.open(), self.inputs(5)
        together = runtime.run(inputs)
        for at in range(5):
            alone = runtime.run({name: each[at : at + 1] for name, each in inputs.items()})
            for name, output in alone.items():
                self.close(output, together[name][at : at + 1])

    def test_what_was_sent_is_not_changed_and_may_be_read_only(self) -> None:
        inputs = self.inputs(3)
        before = {name: each.copy() for name, each in inputs.items()}
        for each in inputs.values():
            each.flags.writeable = False
        self.open().run(inputs)
        for name, each in inputs.items():
            np.testing.assert_array_equal(each, before[name])

    def test_threads_do_not_disturb_each_other(self) -> None:
        runtime = self.open()
        asked = [self.inputs(rows) for rows in (1, 2, 3, 4)]
        expected = [runtime.run(inputs) for inputs in asked]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(runtime.run, asked * 5))
        for at, answer in enumerate(found):
            for name, output in answer.items():
                np.testing.assert_array_equal(output, expected[at % 4][name])

    def test_another_dtype_is_refused_with_what_to_send(self) -> None:
        first = self.signature().inputs[0]
        inputs = self.inputs(2)
        inputs[first.name] = np.zeros((2, 2), dtype=np.complex64)
        with pytest.raises(BadInput, match=first.name):
            self.open().run(inputs)

    def test_another_rank_is_refused_with_what_to_send(self) -> None:
        first = self.signature().inputs[0]
        inputs = self.inputs(2)
        inputs[first.name] = inputs[first.name].ravel()[:1]
        with pytest.raises(BadInput, match=first.name):
            self.open().run(inputs)

    def test_a_missing_tensor_is_refused_by_name(self) -> None:
        first = self.signature().inputs[0]
        inputs = self.inputs(2)
        del inputs[first.name]
        with pytest.raises(BadInput, match=first.name):
            self.open().run(inputs)

    def test_outputs_that_nobody_asked_for_are_left_out(self) -> None:
        signature = self.signature()
        fewer = TensorSignature(signature.inputs, signature.outputs[:1])
        runtime = open_tensor_runtime(replace(self.model(), tensors=fewer))
        assert list(runtime.run(self.inputs(2))) == [signature.outputs[0].name]

    def test_tensors_that_the_files_do_not_have_are_refused(self) -> None:
        signature, model = self.signature(), self.model()
        first = signature.inputs[0]
        others = (
            TensorSignature((TensorSpec("stranger", "FP32", (-1, 2)),), signature.outputs),
            TensorSignature(signature.inputs, (TensorSpec("stranger", "FP32", (-1,)),)),
            TensorSignature((replace(first, datatype="UINT16"), *signature.inputs[1:]), signature.outputs),
            TensorSignature(
                (replace(first, shape=(*first.shape, 9)), *signature.inputs[1:]), signature.outputs
            ),
        )
        for tensors in others:
            with pytest.raises(BadInput):
                open_tensor_runtime(replace(model, tensors=tensors))

    @pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
    def test_files_that_were_cut_short_are_corrupt(self, keep: float) -> None:
        model = self.model()
        cut = {name: content[: int(len(content) * keep)] for name, content in model.files.items()}
        with pytest.raises(CorruptArtifact):
            open_tensor_runtime(replace(model, files=cut))

    def test_files_of_another_kind_are_corrupt(self) -> None:
        model = self.model()
        for files in (dict.fromkeys(model.files, b"\x80\x04K\x01."), {}):
            with pytest.raises(CorruptArtifact):
                open_tensor_runtime(replace(model, files=files))
