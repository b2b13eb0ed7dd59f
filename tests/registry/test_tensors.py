from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput
from esteira.registry.tensors import DTYPES, TensorSignature, TensorSpec

SPECS = st.builds(
    TensorSpec,
    name=st.text(min_size=1, max_size=8),
    datatype=st.sampled_from(sorted(DTYPES)),
    shape=st.lists(st.integers(-1, 9), max_size=4).map(tuple),
)
SIDES = st.lists(SPECS, min_size=1, max_size=4, unique_by=lambda spec: spec.name).map(tuple)


def test_every_datatype_is_one_of_numpy() -> None:
    for datatype in DTYPES:
        assert np.dtype(TensorSpec("t", datatype, (2,)).dtype).name == DTYPES[datatype]


@given(inputs=SIDES, outputs=SIDES)
def test_a_signature_is_read_as_it_was_written(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> None:
    signature = TensorSignature(inputs, outputs)
    read = msgspec.json.decode(msgspec.json.encode(signature.to_plain()))
    assert TensorSignature.from_plain(read) == signature


@given(spec=SPECS, data=st.data())
def test_a_shape_fits_if_only_open_sizes_differ(spec: TensorSpec, data: st.DataObject) -> None:
    closed = tuple(data.draw(st.integers(0, 9)) if size == -1 else size for size in spec.shape)
    assert spec.fits(closed)
    assert not spec.fits((*closed, 1))
    for at, size in enumerate(spec.shape):
        if size != -1:
            assert not spec.fits((*closed[:at], size + 1, *closed[at + 1 :]))


def test_a_signature_is_batched_when_every_first_size_is_open() -> None:
    rows, fixed = TensorSpec("a", "FP32", (-1, 3)), TensorSpec("b", "FP32", (1, 3))
    scalar = TensorSpec("c", "FP32", ())
    assert TensorSignature((rows,), (rows,)).is_batched
    assert not TensorSignature((rows, fixed), (rows,)).is_batched
    assert not TensorSignature((rows,), (rows, scalar)).is_batched


@pytest.mark.parametrize(("datatype", "shape"), [("FLOAT", (1,)), ("fp32", (1,)), ("FP32", (-2,))])
def test_what_the_protocol_does_not_know_is_refused(datatype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="'t'"):
        TensorSpec("t", datatype, shape)


def test_tensors_without_a_name_or_with_one_twice_are_refused() -> None:
    spec = TensorSpec("t", "FP32", (-1,))
    for inputs, outputs in (((), (spec,)), ((spec,), ()), ((spec, spec), (spec,))):
        with pytest.raises(BadInput, match="at least one name"):
            TensorSignature(inputs, outputs)


@pytest.mark.parametrize(
    "plain", [{}, {"inputs": [], "outputs": []}, {"inputs": [{"name": "t"}], "outputs": 7}]
)
def test_what_is_no_signature_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises((msgspec.ValidationError, BadInput)):
        TensorSignature.from_plain(plain)
