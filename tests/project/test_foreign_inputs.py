from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from esteira.base.errors import BadInput, NotFound
from esteira.project.foreign import Described, Foreign
from esteira.project.foreign_inputs import NoColumns, inputs_of, read_columns
from esteira.registry.columns import Column
from esteira.registry.tensors import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path


def pyfunc(*inputs: dict[str, Any], outputs: list[dict[str, Any]] | None = None) -> Foreign:
    return Foreign("pyfunc", {"model.tar": b""}, Described({}, list(inputs) or None, outputs))


def column(name: str, kind: str = "double", *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": required}


def tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [*shape]}, **named}


def test_a_file_of_columns_lists_names_or_says_more(tmp_path: Path) -> None:
    path = tmp_path / "columns.json"
    carrier = {"name": "carrier", "kind": "category", "categories": ["AA", "UA"]}
    path.write_text(json.dumps(["miles", carrier, {"name": "gust", "optional": True}]), encoding="utf-8")
    assert read_columns(path) == (
        Column("miles"),
        Column("carrier", "category", ("AA", "UA")),
        Column("gust", optional=True),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "JSON list"),
        ('{"miles": 1}', "JSON list"),
        ("[1]", "JSON list"),
        ('[{"name": "a", "view": "v"}]', "unknown field `view`"),
        ('[{"name": "a", "kind": "text"}]', "Invalid enum value"),
        ('["a", "a"]', "no doubled one"),
        ("[]", "at least one name"),
    ],
)
def test_a_file_of_anything_else_is_bad_input_with_an_example(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "columns.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=reason):
        read_columns(path)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="file of columns"):
        read_columns(tmp_path / "no.json")


def test_plain_columns_of_an_mlmodel_are_numbers_and_optional_ones_stay_so() -> None:
    columns = [column("a"), column("b", "long"), column("c", "boolean", required=False)]
    signature, tensors = inputs_of(pyfunc(*columns), "late")
    assert tensors is None
    assert signature.columns == (Column("a"), Column("b"), Column("c", optional=True))
    assert signature.target == "late"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("string", "its categories are not in the MLmodel"), ("datetime", "numbers and categories")],
)
def test_a_column_that_is_no_number_needs_a_word_of_the_user(kind: str, reason: str) -> None:
    with pytest.raises(NoColumns, match=rf"column 'c' is a {kind}, and .*{reason}; name them with --like"):
        inputs_of(pyfunc(column("a"), column("c", kind)))


def test_tensors_of_an_mlmodel_are_tensors_and_the_only_one_may_be_without_a_name() -> None:
    signature, tensors = inputs_of(pyfunc(tensor("float32", -1, 28, 28), outputs=[tensor("int64", -1)]))
    assert signature.columns == ()
    assert tensors is not None
    assert tensors.inputs == (TensorSpec("input", "FP32", (-1, 28, 28)),)
    assert tensors.outputs == (TensorSpec("output", "INT64", (-1,)),)
    named = [tensor("str", -1, name="text"), tensor("float16", -1, 4, name="x")]
    _, tensors = inputs_of(pyfunc(*named, outputs=[column("score"), column("word", "string")]))
    assert tensors is not None
    assert [each.datatype for each in (*tensors.inputs, *tensors.outputs)] == [
        "BYTES",
        "FP16",
        "FP64",
        "BYTES",
    ]


def test_tensors_without_outputs_or_of_another_dtype_are_bad_input() -> None:
    with pytest.raises(BadInput, match="nothing of the outputs"):
        inputs_of(pyfunc(tensor("float32", -1)))
    with pytest.raises(BadInput, match=r"tensor 'input' .* cannot be served"):
        inputs_of(pyfunc(tensor("complex128", -1), outputs=[tensor("float32", -1)]))


@pytest.mark.parametrize("dtype", ["(", "f4,(", "1" * 9000, "", "\0", ["f4"], {"names": 7}, None])
def test_a_dtype_that_is_none_is_bad_input(dtype: Any) -> None:
    with pytest.raises(BadInput, match=r"tensor 'input' .* cannot be served"):
        inputs_of(pyfunc(tensor(dtype, -1), outputs=[tensor("float32", -1)]))


def test_a_name_or_a_kind_that_is_no_text_is_bad_input() -> None:
    with pytest.raises(NoColumns):
        inputs_of(pyfunc({"name": ["a"], "type": "double"}))
    with pytest.raises(NoColumns):
        inputs_of(pyfunc({"name": "a", "type": ["double"]}))


def test_the_columns_of_trees_come_from_their_own_text_when_nobody_else_says() -> None:
    text = b"tree\nfeature_names=miles gust\n"
    signature, _ = inputs_of(Foreign("lightgbm", {"model.txt": text}))
    assert signature.columns == (Column("miles", optional=True), Column("gust", optional=True))
    document = json.dumps({"learner": {"feature_names": ["b", "a"]}}).encode()
    signature, _ = inputs_of(Foreign("xgboost", {"booster.json": document}))
    assert signature.names == ("b", "a")


def test_an_mlmodel_in_another_order_than_the_file_reads_gives_way_to_the_file() -> None:
    described = Described({}, [column("gust", required=False), column("miles")])
    signature, _ = inputs_of(
        Foreign("lightgbm", {"model.txt": b"tree\nfeature_names=miles gust\n"}, described)
    )
    assert signature.columns == (Column("miles"), Column("gust", optional=True))


@pytest.mark.parametrize(
    "silent",
    [
        pyfunc(),
        pyfunc({"type": "double"}),
        Foreign("sklearn", {"model.skops": b""}),
        Foreign("lightgbm", {"model.txt": b"tree\n"}),
        Foreign("xgboost", {"booster.json": b'{"learner": {"feature_names": []}}'}),
        Foreign("xgboost", {"booster.json": b"{"}),
        Foreign("xgboost", {"model.ubj": b"{"}),
    ],
    ids=lambda each: each.runtime,
)
def test_a_model_that_says_nothing_of_its_columns_asks_for_them(silent: Foreign) -> None:
    with pytest.raises(NoColumns, match="does not say what its columns are; name them with --like"):
        inputs_of(silent)
