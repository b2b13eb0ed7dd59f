"""A model made elsewhere becomes a registered version: opened and tried here first, judged by no gate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput
from esteira.project.foreign import read_foreign
from esteira.project.foreign_inputs import TARGET, inputs_of, read_columns
from esteira.project.registering import Papers, register_alone
from esteira.project.release import load_model
from esteira.project.watch import REFERENCE
from esteira.registry.bundle import Model
from esteira.registry.signature import Signature
from esteira.serving.live.probes import check_rows, check_tensors
from esteira.serving.runtimes import open_runtime, open_tensor_runtime
from esteira.serving.runtimes.payloads import sklearn_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esteira.base.records import ModelVersion
    from esteira.project.foreign import Foreign
    from esteira.project.station import Station

GATES = "esteira.gates"
NOT_JUDGED = "not judged"  # what the tag of an imported version says: there are no rows to judge it on


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user says of a model that it does not say itself."""

    runtime: str = ""  # instead of the one that fits best
    like: int | None = None  # the version whose signature it has
    columns: Path | None = None  # a JSON file that lists its columns
    target: str = ""  # the name of what it predicts
    reason: str = ""  # for the audit ledger


@dataclass(frozen=True, slots=True)
class Imported:
    """A version that came from elsewhere."""

    version: ModelVersion
    runtime: str
    inputs: tuple[str, ...]  # the names of its columns or tensors
    is_tensors: bool


def import_model(station: Station, path: Path, wish: Wish) -> Imported:
    """Read what lies at a path, open it, try it, and register it. Deploys nothing.

    The same bytes give the same version again.
    Raises: NotFound, BadInput and its kinds (a form that nothing reads, columns that nobody names),
    PyfuncNotAllowed, CorruptArtifact, UnfitToServe, MissingExtra, and what the runtime raises.
    """
    if wish.like is not None and wish.columns is not None:
        raise BadInput("--like and --columns both name the columns; give one of them")
    model = _model(station, read_foreign(path, wish.runtime), wish)
    model = replace(model, files=_files(model), facts={"imported_from": path.name})
    _try(model)
    tags = {GATES: NOT_JUDGED, "esteira.imported_from": path.name}
    if wish.like is not None:  # drift is watched against what the version before learnt from
        tags |= {name: value for name, value in station.version(wish.like).tags.items() if name == REFERENCE}
    reason = wish.reason or f"imported from {path.name}"
    version = register_alone(station, "import", model, Papers(reason, tags, model.facts))
    if model.tensors is not None:
        return Imported(
            version, model.runtime, tuple(each.name for each in model.tensors.inputs), is_tensors=True
        )
    return Imported(version, model.runtime, model.signature.names, is_tensors=False)


def _model(station: Station, foreign: Foreign, wish: Wish) -> Model:
    if wish.like is not None:
        like = load_model(station, station.version(wish.like))
        signature = replace(like.signature, target=wish.target or like.signature.target)
        return Model(foreign.runtime, signature, foreign.files, tensors=like.tensors)
    target = wish.target or TARGET
    if wish.columns is not None:
        return Model(foreign.runtime, Signature(read_columns(wish.columns), target), foreign.files)
    signature, tensors = inputs_of(foreign, target)
    return Model(foreign.runtime, signature, foreign.files, tensors=tensors)


def _files(model: Model) -> Mapping[str, bytes]:
    """Its files, with what can be written of them so that they are served with less."""
    return sklearn_files(model.files["model.skops"]) if model.runtime == "sklearn" else model.files


def _try(model: Model) -> None:
    if model.tensors is not None:
        check_tensors(model.tensors, open_tensor_runtime(model))
    else:
        check_rows(model, open_runtime(model))
