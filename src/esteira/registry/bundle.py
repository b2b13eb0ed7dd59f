"""A model as files: native formats only, each with its digest, nothing pickled.

bundle/
  model.json     runtime, signature, encodings if any, facts, and the digest of every other file
  <payload>      what the runtime loads: model.txt (LightGBM), model.skops (scikit-learn)…
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.digest import canonical_json, digest_bytes
from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.encodings import Encodings
from esteira.registry.signature import Signature
from esteira.registry.tensors import TensorSignature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CARD = "model.json"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError, msgspec.ValidationError, BadInput)
# What a model.skops may hold beyond skops' own safe list, decided here and never read from the file itself:
# the dtype that an imputer remembers, objects of scikit-learn that hold values and no code, and its trees, of
# which serving checks that every branch leads to a node.
SKOPS_TYPES = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model: which runtime loads it, what it asks for, and its native files.

    A model of columns has a signature and one score a row; a model of tensors has `tensors`, and a signature
    without columns.

    The signature is that of raw inputs; with encodings, the native files see what these make of a raw row.
    Equal training gives equal bytes, so `facts` holds no time and no machine. Raises: BadInput (a file by the
    name of the card).
    """

    runtime: str  # a name in serving's table of runtimes
    signature: Signature
    files: Mapping[str, bytes]
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON values: parameters, rows, rounds…
    encodings: Encodings | None = None
    tensors: TensorSignature | None = None

    def __post_init__(self) -> None:
        if CARD in self.files:
            raise BadInput(f"{CARD} is the bundle's own card; give the model's file another name")

    @property
    def native_signature(self) -> Signature:
        """What the native files ask for, behind the encodings. Raises: BadInput (they do not fit)."""
        return self.encodings.encoded(self.signature) if self.encodings else self.signature

    def save(self, folder: Path) -> None:
        """Write the bundle into an existing folder."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        card: dict[str, object] = {
            "runtime": self.runtime,
            "signature": self.signature.to_plain(),
            "facts": dict(self.facts),
            "files": {name: digest_bytes(content) for name, content in sorted(self.files.items())},
        }
        if self.encodings:  # no key without them: a bundle from before they existed keeps its digest
            card["encodings"] = self.encodings.to_plain()
        if self.tensors:
            card["tensors"] = self.tensors.to_plain()
        (folder / CARD).write_bytes(canonical_json(card))

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read a bundle and check every digest.

        Raises: CorruptArtifact (a changed, missing or extra file).
        """
        card, signature, encodings = _read_card(folder)
        tensors = None if card.tensors is None else _tensors(folder, card.tensors)
        found = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name != CARD}
        if set(found) != set(card.files):
            names = ", ".join(sorted(set(found) ^ set(card.files)))
            raise CorruptArtifact(f"model bundle {folder.name}", "exactly its files", f"other: {names}")
        for name, digest in card.files.items():
            if digest_bytes(found[name]) != digest:
                raise CorruptArtifact(
                    f"{name} of model bundle {folder.name}", digest, digest_bytes(found[name])
                )
        return cls(card.runtime, signature, found, card.facts, encodings, tensors)


def read_signature(folder: Path) -> Signature:
    """What the model of a bundle asks for; its other files are not read. Raises: CorruptArtifact."""
    return _read_card(folder)[1]


def read_tensors(folder: Path) -> TensorSignature | None:
    """The tensors of a bundle's model, None of one of columns; its other files are not read.

    Raises: CorruptArtifact.
    """
    card = _read_card(folder)[0]
    return None if card.tensors is None else _tensors(folder, card.tensors)


class _Card(msgspec.Struct, frozen=True):
    runtime: str
    signature: dict[str, Any]
    files: dict[str, str]
    facts: dict[str, Any]
    encodings: list[dict[str, Any]] | None = None
    tensors: dict[str, Any] | None = None


def _tensors(folder: Path, plain: Mapping[str, Any]) -> TensorSignature:
    try:
        return TensorSignature.from_plain(plain)
    except _UNREADABLE as broken:
        raise CorruptArtifact(f"model bundle {folder.name}", "tensors that can be", str(broken)) from broken


def _read_card(folder: Path) -> tuple[_Card, Signature, Encodings | None]:
    try:
        card = msgspec.convert(json.loads((folder / CARD).read_bytes()), _Card)
        signature = Signature.from_plain(card.signature)
        encodings = None if card.encodings is None else Encodings.from_plain(card.encodings)
        if encodings:
            encodings.encoded(signature)
    except _UNREADABLE as broken:
        raise CorruptArtifact(f"model bundle {folder.name}", "a readable model.json", str(broken)) from broken
    return card, signature, encodings
