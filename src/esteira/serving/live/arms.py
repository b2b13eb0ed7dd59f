"""One loaded version of a model: from the fields of a request to the numbers it sees, and its runtime."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput, CorruptArtifact, EsteiraError, UnknownName
from esteira.features.stores.port import ViewChanged
from esteira.registry.bundle import Model
from esteira.registry.columns import WrongInput
from esteira.serving.combining.files import without_deadlines
from esteira.serving.costs import Cost
from esteira.serving.decoders import RowDecoder
from esteira.serving.live.probes import check_rows, check_tensors
from esteira.serving.runtimes import open_runtime, open_tensor_runtime
from esteira.serving.work import TensorsWork, checked_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from esteira.features.online import OnlineReader
    from esteira.registry.signature import ViewRef
    from esteira.serving.routes import Arm
    from esteira.serving.runtimes.port import Runtime, TensorRuntime
    from esteira.serving.telemetry.counts import Counts

    Bundles = Callable[[str], Path]  # the folder of a bundle, by its digest
    Readers = Callable[[tuple[ViewRef, ...]], OnlineReader]


_APART = frozenset(("pyfunc",))


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

    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(f"features cannot be read: {reason}")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A bundle in memory: of columns, or of tensors."""

    model: Model  # without its files
    runtime: Runtime | None
    tensor_runtime: TensorRuntime | None
    reader: OnlineReader | None
    decoder: RowDecoder
    cost: Cost


class LoadedArm:
    """A version in memory. It never changes, so requests in flight keep the one they started with."""

    def __init__(self, arm: Arm, loaded: LoadedModel) -> None:
        self.arm, self.version = arm, str(arm.version)
        self.platform, self.signature, self.tensors = (
            loaded.model.runtime,
            loaded.model.signature,
            loaded.model.tensors,
        )
        self.decoder, self.cost = loaded.decoder, loaded.cost
        # It may hang whatever it has cost: in a process of its own, or with members that do.
        self.may_wait = self.platform in _APART or getattr(loaded.runtime, "may_wait", False)
        self.calls = 0  # that were done at once; some of them teach the cost
        self.counts: Counts | None = None  # once somebody has asked it
        self._loaded, self._reader = loaded, loaded.reader
        self._keys = frozenset(self.signature.keys)
        self._known = frozenset(self.fields)

    @cached_property
    def runtime(self) -> Runtime:
        """What scores rows. Raises: BadInput (a model of tensors)."""
        if self._loaded.runtime is None:
            raise BadInput("the model takes tensors, not columns; its inputs: GET its metadata")
        return self._loaded.runtime

    @cached_property
    def tensor_runtime(self) -> TensorRuntime:
        """What runs tensors. Raises: BadInput (a model of columns)."""
        if self._loaded.tensor_runtime is None:
            raise BadInput("the model takes columns, not tensors; its inputs: GET its metadata")
        return self._loaded.tensor_runtime

    def tensors_work(self, inputs: Mapping[str, NDArray[Any]]) -> TensorsWork:
        """What a request of tensors asks of this version. Raises: BadInput (not its tensors).

        Batched tensors agree on their number of rows.
        """
        if self.tensors is None:
            raise BadInput("the model takes columns, not tensors; its inputs: GET its metadata")
        checked = checked_tensors(self.tensors, inputs)
        return TensorsWork(checked, self.tensors.is_batched)

    def serving(self, arm: Arm) -> LoadedArm:
        """The same model under another name, version or share."""
        return LoadedArm(arm, self._loaded)

    @property
    def fields(self) -> tuple[str, ...]:
        """What a request may carry: the request columns in order, then the keys of the views."""
        return self.decoder.fields

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


def load_arm(arm: Arm, bundles: Bundles, readers: Readers, *, is_patient: bool = False) -> LoadedArm:
    """Load a version, check its digest, warm it up and see that it is fit to serve.

    If `is_patient`, members of a combination have no deadline.
    Raises: NotFound, CorruptArtifact, MissingExtra, UnknownName, UnfitToServe.
    """
    folder = bundles(arm.digest)
    found = digest_folder(folder)
    if found != arm.digest:
        raise CorruptArtifact(f"the bundle of version {arm.version}", arm.digest, found)
    model = Model.load(folder)
    runtime, tensor_runtime, cost = None, None, Cost()
    if model.tensors:
        tensor_runtime = open_tensor_runtime(model)
        check_tensors(model.tensors, tensor_runtime, cost)
    else:
        runtime = open_runtime(without_deadlines(model) if is_patient else model)
        check_rows(model, runtime, cost)
    reader = readers(model.signature.views) if model.signature.views else None
    kept = replace(model, files={})  # the runtime has what it needs of them
    decoder = RowDecoder(model.signature)
    return LoadedArm(arm, LoadedModel(kept, runtime, tensor_runtime, reader, decoder, cost))
