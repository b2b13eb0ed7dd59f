"""A model as files: whole, or refused."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import CARD, Model, read_signature, read_tensors
from esteira.registry.derived import Derived
from esteira.registry.encodings import Encodings, Kept, Marked, Scaled
from esteira.registry.signature import Column, Signature, ViewRef
from esteira.registry.tensors import TensorSignature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIGNATURE = Signature(
    (
        Column("miles"),
        Column("carrier", "category", ("AA", "UA"), optional=True),
        Column("w__wind", view="w"),
    ),
    "late",
    (ViewRef("w", ("origin",), ("wind",)),),
)


ENCODINGS = Encodings((Scaled("robust", 500.0, 250.0, impute=False), Marked((0, 1)), Kept()))


def model(payload: bytes = b"tree\n", **facts: object) -> Model:
    return Model("lightgbm", SIGNATURE, {"model.txt": payload, "notes.json": b"{}"}, facts)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    model(rounds=63).save(tmp_path)
    return tmp_path


def test_what_is_loaded_is_what_was_saved(bundle: Path) -> None:
    assert Model.load(bundle) == model(rounds=63)


@given(payload=st.binary(max_size=50), facts=st.dictionaries(st.text(max_size=5), st.integers() | st.text()))
def test_equal_models_are_equal_folders(
    tmp_path_factory: pytest.TempPathFactory, payload: bytes, facts: dict[str, object]
) -> None:
    folders = [tmp_path_factory.mktemp("bundle") for _ in range(2)]
    Model("r", SIGNATURE, {"a": payload}, facts).save(folders[0])
    Model("r", SIGNATURE, {"a": payload}, dict(reversed(facts.items()))).save(folders[1])
    assert digest_folder(folders[0]) == digest_folder(folders[1])
    assert Model.load(folders[0]) == Model("r", SIGNATURE, {"a": payload}, facts)


def encoded() -> Model:
    return Model("lightgbm", SIGNATURE, {"model.txt": b"tree\n"}, {}, ENCODINGS)


def test_encodings_are_kept_in_the_card(tmp_path: Path) -> None:
    encoded().save(tmp_path)
    assert Model.load(tmp_path) == encoded()
    assert Model.load(tmp_path).native_signature.names == (
        "miles~robust",
        "carrier=AA",
        "carrier=UA",
        "w__wind",
    )


def test_other_encodings_are_another_digest(tmp_path: Path) -> None:
    encoded().save(tmp_path)
    first = digest_folder(tmp_path)
    other = Encodings((Scaled("robust", 500.5, 250.0, impute=False), *ENCODINGS.fitted[1:]))
    Model("lightgbm", SIGNATURE, {"model.txt": b"tree\n"}, {}, other).save(tmp_path)
    assert digest_folder(tmp_path) != first


def test_a_bundle_without_encodings_has_the_bytes_that_it_always_had(bundle: Path) -> None:
    assert digest_folder(bundle) == "6d3e467e111f4ece56df877429ba5d470c93ee1b6b3ae716bc857724d3da454e"
    assert model().native_signature == SIGNATURE


@pytest.mark.parametrize(
    "encodings",
    [
        [],
        {},
        "keep",
        [{"by": "keep"}, {"by": "keep"}],
        [{"by": "keep"}, {"by": "keep"}, {"by": "hash"}],
        [{"by": "keep"}, {"by": "keep"}, {}],
        [{"by": "keep"}, {"by": "keep"}, {"by": "keep", "run": "code"}],
        [{"by": "keep"}, {"by": "one_hot", "codes": [2]}, {"by": "keep"}],
        [{"by": "keep"}, {"by": "one_hot", "codes": ["0"]}, {"by": "keep"}],
        [{"by": "robust", "center": 0, "scale": 0, "impute": False}, {"by": "keep"}, {"by": "keep"}],
        [{"by": "robust", "center": "0", "scale": 1, "impute": False}, {"by": "keep"}, {"by": "keep"}],
        [{"by": "robust", "center": 10**400, "scale": 1, "impute": False}, {"by": "keep"}, {"by": "keep"}],
        [{"by": "keep"}, {"by": "target", "values": [1, 2], "missing": "0"}, {"by": "keep"}],
    ],
)
def test_a_card_with_encodings_that_do_not_fit_is_refused(tmp_path: Path, encodings: object) -> None:
    encoded().save(tmp_path)
    card = json.loads((tmp_path / CARD).read_bytes())
    (tmp_path / CARD).write_text(json.dumps({**card, "encodings": encodings}))
    with pytest.raises(CorruptArtifact, match=r"expected a readable model\.json"):
        Model.load(tmp_path)


def flip(name: str) -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(bytes(content))

    return act


def card_without(key: str) -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        card = json.loads((folder / CARD).read_bytes())
        del card[key]
        (folder / CARD).write_text(json.dumps(card))

    return act


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            flip("model.txt"),
            "model.txt of model bundle .* is corrupt: expected [0-9a-f]{64}, found [0-9a-f]{64}",
        ),
        (flip(CARD), "expected a readable model.json"),
        (
            lambda folder: (folder / "model.txt").unlink(),
            "expected exactly its files, found other: model.txt",
        ),
        (lambda folder: (folder / "more.pkl").touch(), "expected exactly its files, found other: more.pkl"),
        (lambda folder: (folder / CARD).unlink(), "expected a readable model.json"),
        (lambda folder: (folder / CARD).write_bytes(b"\xff"), "expected a readable model.json"),
        (lambda folder: (folder / CARD).write_text("[]"), "expected a readable model.json"),
        (lambda folder: (folder / CARD).write_text("[" * 100_000), "expected a readable model.json"),
        (card_without("files"), "expected a readable model.json"),
        (card_without("signature"), "expected a readable model.json"),
        (card_without("runtime"), "expected a readable model.json"),
    ],
)
def test_a_damaged_bundle_is_refused_with_the_mend(
    bundle: Path, damage: Callable[[Path], object], expected: str
) -> None:
    damage(bundle)
    with pytest.raises(CorruptArtifact, match=expected) as refused:
        Model.load(bundle)
    assert "restore it from a backup, or delete it and run the pipeline again" in str(refused.value)


WITH_TRANSFORM = Signature(
    (Column("rush__load", transform="rush"), Column("miles")),
    "late",
    derived=(
        Derived.from_plain(
            {
                "name": "rush",
                "inputs": [["miles", "number"], ["sky", "text"]],
                "steps": [["text", "red"], ["text ==", 1, 2], ["number", 2.5], ["if", 3, 0, 4]],
                "outputs": [["load", 5]],
            }
        ),
    ),
    inputs=(Column("sky", "category"),),
)
WRONG_TYPES = (None, True, -1, 99, 10**400, 1.5, float("nan"), "", "x", "text", "if", [], {}, [[]], [1])


def _parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    names = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield (*path, name)
        yield from _parts(value[name], (*path, name))


def test_a_card_with_any_value_of_another_type_is_refused_or_means_something(tmp_path: Path) -> None:
    encodings = Encodings((Scaled("robust", 500.0, 250.0, impute=False), Kept()))
    Model("lightgbm", WITH_TRANSFORM, {"model.txt": b"tree\n"}, {}, encodings).save(tmp_path)
    written = (tmp_path / CARD).read_text()
    refused = 0
    for (*path, last), wrong in product(_parts(json.loads(written)), WRONG_TYPES):
        card = json.loads(written)
        reduce(lambda part, name: part[name], path, card)[last] = wrong
        (tmp_path / CARD).write_text(json.dumps(card))
        try:
            model = Model.load(tmp_path)
        except CorruptArtifact:
            refused += 1
        else:
            row = {column.name: 2.0 for column in model.signature.request_columns if column.kind == "number"}
            words = {column.name: "red" for column in (*model.signature.inputs, *model.signature.columns)}
            with suppress(BadInput):  # a request that does not fit what the card now says
                raw = model.signature.encode_row(words | row)
                if model.encodings:
                    model.encodings.encode_row(raw)
    assert refused > 500


def test_what_a_model_asks_for_can_be_read_alone(bundle: Path) -> None:
    (bundle / "model.txt").unlink()
    assert read_signature(bundle) == SIGNATURE
    (bundle / CARD).unlink()
    with pytest.raises(CorruptArtifact):
        read_signature(bundle)


def test_the_tensors_of_a_model_can_be_read_alone(bundle: Path, tmp_path: Path) -> None:
    assert read_tensors(bundle) is None
    tensors = TensorSignature((TensorSpec("x", "FP32", (-1, 3)),), (TensorSpec("y", "FP32", (-1,)),))
    Model("onnx", Signature((), ""), {"model.onnx": b"x"}, tensors=tensors).save(tmp_path)
    (tmp_path / "model.onnx").unlink()
    assert read_tensors(tmp_path) == tensors


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifact):
        Model.load(tmp_path / "nowhere")
