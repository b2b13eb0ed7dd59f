"""One loaded version of a model: from the fields of a request to the numbers it sees, and its runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput, CorruptArtifact, EsteiraError, UnknownName
from esteira.features.stores.port import ViewChanged
from esteira.registry.bundle import Model
from esteira.registry.columns import MISSING, WrongInput
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.features.online import OnlineReader
    from esteira.registry.signature import Signature, ViewRef
    from esteira.serving.routes import Arm
    from esteira.serving.runtimes.port import Runtime

    Bundles = Callable[[str], Path]  # the folder of a bundle, by its digest
    Readers = Callable[[tuple[ViewRef, ...]], OnlineReader]


class SuppliedByView(BadInput):
    """A request that brings a feature which the gateway reads itself."""

    def __init__(self, column: str, view: str) -> None:
        super().__init__(f"column {column!r} is read from the feature view {view!r}; leave it out")
        self.column, self.view = column, view


class ComputedByTransform(BadInput):
    """A request that brings a column which the gateway computes itself."""

    def __init__(self, column: str, transform: str) -> None:
        super().__init__(f"column {column!r} is computed by the transform {transform!r}; leave it out")
        self.column, self.transform = column, transform


class FeaturesUnreadable(EsteiraError):
    """Stored features that do not fit the model."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"features cannot be read: {reason}")


class LoadedArm:
    """A version in memory. It never changes, so requests in flight keep the one they started with."""

    def __init__(
        self, arm: Arm, platform: str, signature: Signature, runtime: Runtime, reader: OnlineReader | None
    ) -> None:
        self.arm, self.platform, self.signature, self.runtime = arm, platform, signature, runtime
        self.version = str(arm.version)
        self._reader = reader
        self._keys = frozenset(signature.keys)
        self._known = frozenset(self.fields)

    def serving(self, arm: Arm) -> LoadedArm:
        """The same model under another name, version or share."""
        return LoadedArm(arm, self.platform, self.signature, self.runtime, self._reader)

    @property
    def fields(self) -> tuple[str, ...]:
        """What a request may carry: the request columns in order, then the keys of the views."""
        return (*(column.name for column in self.signature.request_columns), *self.signature.keys)

    def encode(self, values: dict[str, Any], at: int) -> list[float]:
        """The model's row for a request at UTC microsecond `at`; `values` gains the features that were read.

        Raises: WrongInput and WrongKey (missing, or of another type), UnknownName, SuppliedByView,
        ComputedByTransform, FeaturesUnreadable, and what the online store raises.
        """
        if not values.keys() <= self._known:
            raise self._stranger(values)
        if self._reader is not None:
            self._read_features(self._reader, values, at)
        try:
            return self.signature.encode_row(values)
        except OverflowError as huge:  # a whole number beyond the largest float
            raise BadInput(f"a number is too large: {huge}; the limit is about 1.8e308") from huge

    def _read_features(self, reader: OnlineReader, values: dict[str, Any], at: int) -> None:
        if not self._keys <= values.keys():
            absent = min(self._keys - values.keys())
            raise WrongInput(absent, "given, as the key of features (null when unknown)", "nothing")
        try:
            reader.fill(values, at)
        except ViewChanged as changed:  # nothing that the caller could mend
            raise FeaturesUnreadable(str(changed)) from changed

    def _stranger(self, values: dict[str, Any]) -> BadInput:
        stranger = min(values.keys() - self._known)
        for column in (*self.signature.columns, *self.signature.inputs):
            if column.name == stranger and column.transform:
                return ComputedByTransform(stranger, column.transform)
            if column.name == stranger:
                return SuppliedByView(stranger, column.view)
        return UnknownName("column", stranger[:80], self._known)  # names are compared, so none is endless


def load_arm(arm: Arm, bundles: Bundles, readers: Readers) -> LoadedArm:
    """Load a version, check its digest and warm it up.

    Raises: NotFound, CorruptArtifact, MissingExtra, UnknownName.
    """
    folder = bundles(arm.digest)
    found = digest_folder(folder)
    if found != arm.digest:
        raise CorruptArtifact(f"the bundle of version {arm.version}", arm.digest, found)
    model = Model.load(folder)
    runtime = open_runtime(model)
    _warm_up(model, runtime)
    reader = readers(model.signature.views) if model.signature.views else None
    return LoadedArm(arm, model.runtime, model.signature, runtime, reader)


def _warm_up(model: Model, runtime: Runtime) -> None:
    required = [
        c.kind == "number" and c.is_requested and not c.optional for c in model.signature.columns
    ]  # the only columns that never are missing
    row = [0.0 if each else MISSING for each in required]
    one, many = runtime.predict_row(row), runtime.predict(np.array([row])).tolist()
    if many != [one]:
        raise CorruptArtifact("the model", f"equal scores for a row alone and in a batch, {one}", str(many))
