"""What a model made elsewhere is: its native files, the runtime that reads them, and what it says of itself.

A file is known by its ending, an MLflow model folder by its MLmodel: of that, a native file that can be read
without running code is preferred, and the whole folder as a pyfunc is the last resort.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.base.optional import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RUNTIMES = ("lightgbm", "onnx", "pyfunc", "sklearn", "xgboost")

# ending → runtime, and the name of the file in a bundle
_ENDINGS: Mapping[str, tuple[str, str]] = {
    ".onnx": ("onnx", "model.onnx"),
    ".txt": ("lightgbm", "model.txt"),
    ".lgb": ("lightgbm", "model.txt"),
    ".json": ("xgboost", "booster.json"),
    ".ubj": ("xgboost", "model.ubj"),
    ".skops": ("sklearn", "model.skops"),
}
_PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill"}
_LARGEST = 2 * 1024**3  # bytes


class UnknownForm(BadInput):
    """A file or folder that no runtime reads."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be imported: {reason}")
        self.path, self.reason = path, reason


class Described(msgspec.Struct, frozen=True):
    """What an MLmodel says; of inputs and outputs each is a column or a tensor, in MLflow's words."""

    flavors: dict[str, dict[str, Any]] = {}
    inputs: list[dict[str, Any]] | None = None
    outputs: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """A model made elsewhere, read and not yet loaded."""

    runtime: str
    files: Mapping[str, bytes]
    described: Described = field(default_factory=Described)


def read_foreign(path: Path, runtime: str = "") -> Foreign:
    """What lies at a path, for the runtime that is asked for or the one that fits best.

    Raises: NotFound, UnknownForm, UnknownName (no such runtime), BadInput, MissingExtra, and what the process
    raises that reads an MLmodel.
    """
    if runtime and runtime not in RUNTIMES:
        raise UnknownName("runtime", runtime, RUNTIMES)
    if path.is_dir():
        return _of_folder(path, runtime)
    if not path.is_file():
        raise NotFound("file or folder", str(path))
    return _of_file(path, runtime)


def _of_file(path: Path, runtime: str) -> Foreign:
    ending = path.suffix.lower()
    if ending in _PICKLES:
        raise UnknownForm(
            path,
            "a pickle runs code when it is read; save the model in its own format (LightGBM text, XGBoost "
            "JSON, skops, ONNX), or with MLflow and import that folder",
        )
    if ending not in _ENDINGS:
        raise UnknownForm(
            path, f"its ending is none of {', '.join(_ENDINGS)}, and it is no MLflow model folder"
        )
    found, name = _ENDINGS[ending]
    if runtime not in ("", found):
        raise UnknownForm(path, f"a file {ending} is for runtime {found!r}, not {runtime!r}; leave --as out")
    return Foreign(found, {name: _content(path)})


def _of_folder(path: Path, runtime: str) -> Foreign:
    if not (path / "MLmodel").is_file():
        raise UnknownForm(path, "a folder must be an MLflow model, and there is no file MLmodel in it")
    described = describe_folder(path)
    natives = _natives(path, described.flavors)
    if runtime not in ("", "pyfunc") and runtime not in natives:
        held = ", ".join(natives) or "none"
        raise UnknownForm(path, f"it holds no native file for runtime {runtime!r} (it does for: {held})")
    chosen = runtime or next(iter(natives), "pyfunc")
    if chosen != "pyfunc":
        return Foreign(chosen, natives[chosen], described)
    if "python_function" not in described.flavors:
        raise UnknownForm(
            path, f"MLflow cannot load it as a pyfunc: it has only {', '.join(described.flavors)}"
        )
    pack = load("esteira.serving.runtimes.packing:pack_folder")
    return Foreign("pyfunc", {"model.tar": pack(path)}, described)


def describe_folder(path: Path) -> Described:
    """What the MLmodel in a folder says, read by MLflow in a process of its own; the model is not loaded."""
    words = load("esteira.serving.runtimes.pyfunc:describe")(path)
    try:
        return msgspec.json.decode(words, type=Described)
    except msgspec.MsgspecError as wrong:
        raise UnknownForm(path, f"its MLmodel says what no MLflow writes: {wrong}") from wrong


def _natives(path: Path, flavors: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, bytes]]:
    """The files of an MLflow model that a runtime reads without running code, by runtime."""
    found = {name: reads(path, flavors[name]) for name, reads in _FLAVORS.items() if name in flavors}
    return {name: files for name, files in found.items() if files}


def _onnx(path: Path, flavor: Mapping[str, Any]) -> dict[str, bytes]:
    content = _inside(path, flavor.get("data"), ".onnx")
    return {"model.onnx": content} if content else {}


def _lightgbm(path: Path, flavor: Mapping[str, Any]) -> dict[str, bytes]:
    content = _inside(path, flavor.get("data"), ".lgb", ".txt")
    return {"model.txt": content} if content.startswith(b"tree\n") else {}


def _xgboost(path: Path, flavor: Mapping[str, Any]) -> dict[str, bytes]:
    content = _inside(path, flavor.get("data"), ".xgb", ".ubj", ".json")
    if not content.startswith(b"{"):
        return {}
    return {"booster.json" if content[1:2] in b'"\n\r\t ' else "model.ubj": content}


def _sklearn(path: Path, flavor: Mapping[str, Any]) -> dict[str, bytes]:
    if flavor.get("serialization_format") != "skops":
        return {}
    content = _inside(path, flavor.get("pickled_model"), ".skops")
    return {"model.skops": content} if content else {}


_FLAVORS = {"lightgbm": _lightgbm, "xgboost": _xgboost, "onnx": _onnx, "sklearn": _sklearn}


def _inside(path: Path, name: object, *endings: str) -> bytes:
    """A file of the folder itself, empty when the flavor names none of these endings."""
    if not isinstance(name, str) or not name.endswith(endings):
        return b""
    try:
        file = (path / name).resolve()
        return _content(file) if file.is_relative_to(path.resolve()) and file.is_file() else b""
    except (OSError, RuntimeError, ValueError) as refused:  # a name too long, links in a ring, a NUL
        raise UnknownForm(path, f"its MLmodel names the file {name[:80]!r}: {refused}") from refused


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise UnknownForm(path, f"it holds {size:,} bytes; the limit is {_LARGEST:,}")
        return path.read_bytes()
    except OSError as refused:
        raise UnknownForm(path, refused.strerror or str(refused)) from refused


def names_in(foreign: Foreign) -> list[str]:
    """The columns that the native files name themselves, in their order; none when they do not."""
    if foreign.runtime == "lightgbm":
        lines = foreign.files["model.txt"][:1_000_000].splitlines()
        line = next((each for each in lines if each.startswith(b"feature_names=")), b"")
        return line.partition(b"=")[2].decode("utf-8", "replace").split(" ") if line else []
    if foreign.runtime == "xgboost":
        return _of_xgboost(foreign.files)
    return []


def _of_xgboost(files: Mapping[str, bytes]) -> list[str]:
    try:
        if "booster.json" in files:
            document = json.loads(files["booster.json"])
        else:
            document = load("esteira.serving.runtimes.ubjson:decode")(files["model.ubj"])
        names = document["learner"]["feature_names"]
    except (
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
        BadInput,
    ):  # the runtime will say what is wrong
        return []
    return names if isinstance(names, list) and all(isinstance(each, str) for each in names) else []
