from __future__ import annotations

from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from esteira.base.errors import BadInput
from esteira.registry.columns import Column
from esteira.registry.tensors import DTYPES
from esteira.serving.runtimes import frames
from esteira.serving.runtimes.frames import (
    HEADER,
    MalformedFrame,
    framed,
    pack_rows,
    pack_tensors,
    unpack_rows,
    unpack_scores,
    unpack_tensors,
)

COLUMNS = (Column("miles"), Column("carrier", "category", ("AA", "UA")))


def test_a_frame_says_its_kind_and_its_length() -> None:
    assert framed(b"R", b"abc") == HEADER.pack(b"R", 3) + b"abc"


def test_more_than_fits_one_call_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGEST", 2)
    with pytest.raises(BadInput, match="send fewer rows"):
        framed(b"R", b"abc")


def test_rows_travel_in_words_and_missing_stays_missing() -> None:
    matrix = np.array([[1.5, 1.0], [np.nan, 0.0], [-0.0, np.nan], [2.0, 7.0], [2.0, 0.5], [2.0, -1.0]])
    found = unpack_rows(pack_rows(COLUMNS, matrix))
    assert list(found) == ["miles", "carrier"]
    np.testing.assert_array_equal(found["miles"], matrix[:, 0])
    assert found["carrier"].tolist() == ["UA", "AA", None, None, None, None]


@given(matrix=arrays(np.float64, st.tuples(st.integers(0, 5), st.just(1)), elements=st.floats(width=64)))
def test_every_number_arrives_to_the_bit(matrix: np.ndarray) -> None:
    found = unpack_rows(pack_rows(COLUMNS[:1], matrix))
    assert found["miles"].tobytes() == matrix.tobytes()


NUMBERS = [name for name in DTYPES if name != "BYTES"]


@given(data=st.data())
def test_tensors_arrive_as_they_were(data: st.DataObject) -> None:
    dtype = np.dtype(DTYPES[data.draw(st.sampled_from(NUMBERS))])
    tensor = data.draw(arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=3)))
    found = unpack_tensors(pack_tensors({"x": tensor}))["x"]
    assert (found.dtype, found.shape, found.tobytes()) == (tensor.dtype, tensor.shape, tensor.tobytes())


def test_tensors_of_texts_arrive() -> None:
    texts = np.array([["ã", ""], ["b", "c"]], dtype=object)
    assert unpack_tensors(pack_tensors({"x": texts}))["x"].tolist() == texts.tolist()


@given(junk=st.binary(max_size=60))
def test_bytes_that_are_no_rows_and_no_tensors_are_malformed(junk: bytes) -> None:
    for unpack in (unpack_rows, unpack_tensors):
        with suppress(MalformedFrame):
            assert isinstance(unpack(junk), dict)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_what_was_cut_short_is_malformed(keep: float) -> None:
    rows, tensors = pack_rows(COLUMNS, np.zeros((3, 2))), pack_tensors({"x": np.zeros(9)})
    with pytest.raises(MalformedFrame):
        unpack_rows(rows[: int(len(rows) * keep)])
    with pytest.raises(MalformedFrame):
        unpack_tensors(tensors[: int(len(tensors) * keep)])


def test_columns_of_one_name_or_of_different_lengths_are_malformed() -> None:
    for packed in ([("a", b"", None)] * 2, [("a", bytes(8), None), ("b", b"", None)], []):
        with pytest.raises(MalformedFrame, match="different lengths"):
            unpack_rows(msgspec.msgpack.encode(packed))


def test_scores_are_whole_numbers_of_eight_bytes() -> None:
    assert unpack_scores(np.array([0.25, 0.5]).tobytes()).tolist() == [0.25, 0.5]
    with pytest.raises(MalformedFrame, match="9 bytes"):
        unpack_scores(b"123456789")
