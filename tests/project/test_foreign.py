from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira.base.errors import NotFound, UnknownName
from esteira.project import foreign
from esteira.project.foreign import Described, Foreign, UnknownForm, names_in, read_foreign
from esteira.serving.runtimes.pyfunc import UnreadableMlmodel

if TYPE_CHECKING:
    from pathlib import Path


def laid(folder: Path, **files: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in {"MLmodel": b"", **files}.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content)
    return folder


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let every MLmodel say these flavors, without the process that would read it."""

    def said(**flavors: dict[str, Any]) -> None:
        described = Described({"python_function": {}, **flavors})
        monkeypatch.setattr(foreign, "describe_folder", lambda path: described)

    return said


@pytest.mark.parametrize(
    ("name", "runtime", "kept"),
    [
        ("m.onnx", "onnx", "model.onnx"),
        ("m.txt", "lightgbm", "model.txt"),
        ("M.TXT", "lightgbm", "model.txt"),
        ("m.json", "xgboost", "booster.json"),
        ("m.ubj", "xgboost", "model.ubj"),
        ("m.skops", "sklearn", "model.skops"),
    ],
)
def test_a_file_is_known_by_its_ending(tmp_path: Path, name: str, runtime: str, kept: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert read_foreign(tmp_path / name) == Foreign(runtime, {kept: b"x"})
    assert read_foreign(tmp_path / name, runtime).runtime == runtime


@pytest.mark.parametrize("name", ["m.pkl", "m.joblib", "m.pickle"])
def test_a_pickle_is_refused_with_the_ways_around_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        UnknownForm, match="a pickle runs code when it is read; save the model in its own format"
    ):
        read_foreign(tmp_path / name)


def test_what_no_runtime_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"x")
    (tmp_path / "m.onnx").write_bytes(b"x")
    with pytest.raises(UnknownForm, match=r"its ending is none of \.onnx"):
        read_foreign(tmp_path / "m.bin")
    with pytest.raises(
        UnknownForm, match=r"a file \.onnx is for runtime 'onnx', not 'sklearn'; leave --as out"
    ):
        read_foreign(tmp_path / "m.onnx", "sklearn")
    with pytest.raises(UnknownName, match="did you mean 'xgboost'"):
        read_foreign(tmp_path / "m.onnx", "xgbost")
    with pytest.raises(UnknownForm, match="no file MLmodel in it"):
        read_foreign(tmp_path)
    with pytest.raises(NotFound, match="does not exist"):
        read_foreign(tmp_path / "nowhere")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "_LARGEST", 3)
    (tmp_path / "m.onnx").write_bytes(b"four")
    with pytest.raises(UnknownForm, match="4 bytes; the limit is 3"):
        read_foreign(tmp_path / "m.onnx")


def test_of_a_folder_the_native_file_is_taken_and_the_whole_only_when_asked_for(
    tmp_path: Path, says: Any
) -> None:
    says(lightgbm={"data": "model.lgb", "model_class": "lightgbm.basic.Booster"})
    folder = laid(tmp_path / "m", model__lgb=b"tree\nx")
    found = read_foreign(folder)
    assert (found.runtime, found.files) == ("lightgbm", {"model.txt": b"tree\nx"})
    assert read_foreign(folder, "pyfunc").files.keys() == {"model.tar"}
    with pytest.raises(UnknownForm, match=r"no native file for runtime 'onnx' \(it does for: lightgbm\)"):
        read_foreign(folder, "onnx")


@pytest.mark.parametrize(
    ("flavors", "files", "expected"),
    [
        ({"onnx": {"data": "model.onnx"}}, {"model__onnx": b"g"}, {"model.onnx": b"g"}),
        ({"xgboost": {"data": "model.xgb"}}, {"model__xgb": b'{"a'}, {"booster.json": b'{"a'}),
        ({"xgboost": {"data": "model.ubj"}}, {"model__ubj": b"{L"}, {"model.ubj": b"{L"}),
        (
            {"sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"}},
            {"model__skops": b"z"},
            {"model.skops": b"z"},
        ),
    ],
    ids=["onnx", "xgboost json", "xgboost ubj", "skops"],
)
def test_each_flavor_has_its_native_file(
    tmp_path: Path, says: Any, flavors: Any, files: Any, expected: Any
) -> None:
    says(**flavors)
    assert read_foreign(laid(tmp_path / "m", **files)).files == expected


@pytest.mark.parametrize(
    ("flavors", "files"),
    [
        ({"lightgbm": {"data": "model.pkl"}}, {"model__pkl": b"x"}),
        ({"lightgbm": {"data": "model.lgb"}}, {"model__lgb": b"no trees"}),
        ({"xgboost": {"data": "model.xgb"}}, {"model__xgb": b"binf"}),
        ({"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}}, {}),
        ({"onnx": {"data": "gone.onnx"}}, {}),
        ({"onnx": {"data": "../outside.onnx"}}, {}),
        ({"onnx": {"data": 7}}, {}),
        ({"pytorch": {"data": "model.pt"}}, {}),
    ],
    ids=str,
)
def test_what_has_no_native_file_that_runs_no_code_is_a_pyfunc(
    tmp_path: Path, says: Any, flavors: Any, files: Any
) -> None:
    (tmp_path / "outside.onnx").write_bytes(b"x")
    says(**flavors)
    found = read_foreign(laid(tmp_path / "m", **files))
    assert (found.runtime, list(found.files)) == ("pyfunc", ["model.tar"])


@pytest.mark.parametrize("name", ["a\0.onnx", "a" * 5000 + ".onnx", "ring.onnx"])
def test_a_name_that_no_file_can_have_is_refused_with_its_name(tmp_path: Path, says: Any, name: str) -> None:
    says(onnx={"data": name})
    folder = laid(tmp_path / "m")
    (folder / "ring.onnx").symlink_to("ring.onnx")
    with pytest.raises(UnknownForm, match="its MLmodel names the file"):
        read_foreign(folder)


def test_a_folder_that_not_even_mlflow_can_load_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(foreign, "describe_folder", lambda path: Described({"spark": {}}))
    with pytest.raises(UnknownForm, match="it has only spark"):
        read_foreign(laid(tmp_path / "m"))


def test_names_that_a_file_holds_are_found_and_what_is_broken_is_left_to_the_runtime() -> None:
    assert names_in(Foreign("lightgbm", {"model.txt": b"tree\nfeature_names=a b\nfeature_infos=\n"})) == [
        "a",
        "b",
    ]
    broken = [b"{", b"[]", b'{"learner": 1}', b'{"learner": {"feature_names": [1]}}', b"[" * 100_000]
    assert [names_in(Foreign("xgboost", {"booster.json": each})) for each in broken] == [[]] * 5
    numbers = b"{U\x07learner[$U#U\x01\x00}"
    assert names_in(Foreign("xgboost", {"model.ubj": numbers})) == []
    assert names_in(Foreign("onnx", {"model.onnx": b""})) == []


@pytest.mark.slow
def test_a_real_mlmodel_is_read_by_mlflow_and_one_that_is_none_says_so(tmp_path: Path) -> None:
    from tests.serving.foreign import pickled

    found = read_foreign(pickled())
    assert (found.runtime, found.described.inputs) == ("pyfunc", None)
    assert found.described.flavors["sklearn"]["pickled_model"] == "model.pkl"
    (tmp_path / "MLmodel").write_text("flavors: [", encoding="utf-8")
    with pytest.raises(UnreadableMlmodel, match="save the model again"):
        read_foreign(tmp_path)
