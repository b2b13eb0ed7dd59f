"""The files that let MLflow's own loaders understand a bundle: MLmodel and its environments.

model/
  MLmodel  requirements.txt  conda.yaml  python_env.yaml   written here
  esteira/                                                 the bundle, to which MLmodel points
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from esteira.registry.bundle import SKOPS_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from esteira.registry.bundle import Model
    from esteira.registry.tensors import TensorSpec

BUNDLE = "esteira"  # the bundle's folder inside the MLflow model


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an MLflow model comes from, in MLflow's own ids."""

    model_id: str
    run_id: str
    location: str  # artifact URI of the model folder
    created_at: datetime
    mlflow_version: str


@dataclass(frozen=True, slots=True)
class _Flavor:
    """How MLflow names and loads the files of one runtime."""

    name: str  # of MLflow's module
    library: str  # distribution on the package index
    version_key: str
    native: Mapping[str, object]
    python: Mapping[str, object] | None = field(default_factory=dict)  # None: no pyfunc
    also: tuple[str, ...] = ()  # distributions
    width: tuple[int, ...] = ()  # of one answer


_LIGHTGBM = _Flavor(
    "lightgbm",
    "lightgbm",
    "lgb_version",
    {"data": f"{BUNDLE}/model.txt", "model_class": "lightgbm.basic.Booster"},
)
_FLAVORS: Mapping[str, _Flavor] = {
    "lightgbm": _LIGHTGBM,
    "lleaves": _LIGHTGBM,  # the same file, which LightGBM reads
    "onnx": _Flavor(
        "onnx",
        "onnxruntime",
        "onnx_version",
        {"data": f"{BUNDLE}/model.onnx", "providers": ["CPUExecutionProvider"]},
        None,  # its pyfunc looks for MLmodel beside the file itself
        also=("onnx",),
    ),
    "sklearn": _Flavor(
        "sklearn",
        "scikit-learn",
        "sklearn_version",
        {
            "pickled_model": f"{BUNDLE}/model.skops",  # MLflow's word for the file, whatever its format
            "serialization_format": "skops",
            "skops_trusted_types": [*SKOPS_TYPES],
        },
        {"model_path": f"{BUNDLE}/model.skops", "predict_fn": "predict_proba"},
        also=("skops",),
        width=(2,),
    ),
    "xgboost": _Flavor(
        "xgboost",
        "xgboost",
        "xgb_version",
        {"model_class": "xgboost.core.Booster", "data": f"{BUNDLE}/model.ubj"},
    ),
}


def mlmodel_files(model: Model, digest: str, origin: Origin) -> dict[str, bytes]:
    """The files beside the bundle, by name; JSON, which every YAML reader reads.

    A loader of MLflow takes the encoded matrix (numbers, categories as codes in the order that the bundle's
    signature lists them; of a model with encodings, the columns that these make) and answers with
    probabilities. A runtime that MLflow does not know, or whose files it would unpickle (PyTorch), gets no
    loader.
    Source: MLflow documentation, "MLflow Model format".
    """
    flavor = _flavor(model)
    card = {
        "artifact_path": origin.location,
        "flavors": {BUNDLE: {"runtime": model.runtime, "bundle": BUNDLE}} | _loaders(model, flavor),
        "metadata": {"esteira_bundle": BUNDLE, "esteira_digest": digest},
        "mlflow_version": origin.mlflow_version,
        "model_id": origin.model_id,
        "model_uuid": origin.model_id,
        "run_id": origin.run_id,
        "signature": _signature(model, flavor),
        "utc_time_created": origin.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    packages, python = _packages(model, flavor), platform.python_version()
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": packages}],
    }
    python_env = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    return {
        "MLmodel": _plain(card),
        "conda.yaml": _plain(conda),
        "python_env.yaml": _plain(python_env),
        "requirements.txt": "\n".join(packages).encode() + b"\n",
    }


def _plain(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def _flavor(model: Model) -> _Flavor | None:
    flavor = _FLAVORS.get(model.runtime)
    if model.runtime == "xgboost" and flavor and "booster.json" in model.files:
        return replace(flavor, native={**flavor.native, "data": f"{BUNDLE}/booster.json"})
    return flavor


def _loaders(model: Model, flavor: _Flavor | None) -> dict[str, Any]:
    if flavor is None:
        return {}
    version = {flavor.version_key: str(model.facts.get("library_version", ""))}
    loaders: dict[str, Any] = {flavor.name: {**flavor.native, **version, "code": None}}
    if flavor.python is not None:
        loaders["python_function"] = {
            "loader_module": f"mlflow.{flavor.name}",
            "python_version": platform.python_version(),
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "code": None,
            **flavor.python,
        }
    return loaders


def _packages(model: Model, flavor: _Flavor | None) -> list[str]:
    """What a loader needs, said here because MLflow would otherwise load the model to find out."""
    if flavor is None:
        return ["mlflow"]
    version = model.facts.get("library_version")
    return ["mlflow", "pandas", f"{flavor.library}=={version}" if version else flavor.library, *flavor.also]


def _signature(model: Model, flavor: _Flavor | None) -> dict[str, Any]:
    if model.tensors:
        asked, given = ([*map(_tensor, specs)] for specs in (model.tensors.inputs, model.tensors.outputs))
        return {"inputs": json.dumps(asked), "outputs": json.dumps(given), "params": None}
    inputs = [{"name": name, "type": "double", "required": True} for name in model.native_signature.names]
    shape = [-1, *(flavor.width if flavor else ())]
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    dtype = "str" if spec.datatype == "BYTES" else spec.dtype
    return {"name": spec.name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [*spec.shape]}}
