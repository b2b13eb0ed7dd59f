"""The manifest of a training set: what it holds, and everything that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - a field type, read at run time by msgspec
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from esteira.base.errors import BadInput
from esteira.base.records import Artifact  # noqa: TC001 - a field type, read at run time by msgspec
from esteira.features.contents import TableContent, type_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1


class WrongManifest(BadInput):
    """A file that is no manifest, or one that was changed by hand."""

    def __init__(self, place: str, reason: str) -> None:
        mend = "take an unchanged one, or delete it and run the pipeline again"
        super().__init__(f"{place} is no manifest of a training set: {reason}; {mend}")
        self.place, self.reason = place, reason


@dataclass(frozen=True, slots=True)
class PinnedTable:
    """A version of a source table."""

    version: int
    rows: int


@dataclass(frozen=True, slots=True)
class PinnedView:
    """A feature view as it was defined, over one version of its source."""

    source: str  # e.g. flights@3
    as_known: bool  # rows count from the moment they were known, not from when they happened
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spine:
    """The questions that the features were joined to: whose rows, and in which order."""

    step: str
    content: TableContent


@dataclass(frozen=True, slots=True)
class Manifest:
    """A training set by name, with all that is needed to make it again."""

    digest: str  # of its content: the name of the training set
    project: str
    step: str  # that returned it
    content: TableContent
    artifact: Artifact  # the stored bytes
    run_id: str
    created_at: datetime
    spine: Spine | None
    inputs: Mapping[str, str]  # input → pinned identity, of every step that it needed
    tables: Mapping[str, PinnedTable]
    views: Mapping[str, PinnedView]  # by qualified name
    parameters: Mapping[str, Any]
    keys: Mapping[str, str]  # step → its key in the journal, which covers code, parameters and inputs
    code: Mapping[str, str]  # piece of project code → digest
    libraries: Mapping[str, str]
    format: int = FORMAT

    def to_json(self) -> bytes:
        """The manifest as a file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read_manifest(content: bytes, place: str) -> Manifest:
    """The inverse of `to_json`; `place` is named in errors. Raises: WrongManifest."""
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as wrong:
        raise WrongManifest(place, str(wrong)) from wrong
    if manifest.format != FORMAT:
        raise WrongManifest(place, f"it has format {manifest.format}, this esteira reads {FORMAT}")
    if manifest.content.digest != manifest.digest:
        reason = f"its columns make {manifest.content.digest[:12]}, not {manifest.digest[:12]}"
        raise WrongManifest(place, reason)
    return manifest


Moved = Mapping[str, tuple[Any, Any]]  # name → before and after; None where it is not


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """What is not the same in two training sets and in what they were made of."""

    rows: tuple[int, int]
    schema: Moved  # column → type
    reordered: bool  # the columns that both have stand in another order
    columns: tuple[str, ...]  # of one type in both, with other values
    spine_moved: bool
    tables: Mapping[str, tuple[PinnedTable | None, PinnedTable | None]]
    definitions: Moved  # `view.part` → value
    parameters: Moved
    code: Moved  # piece → digest
    libraries: Moved

    @property
    def equal(self) -> bool:
        """Whether the training sets hold the same, whatever they were made of."""
        same_form = self.rows[0] == self.rows[1] and not self.schema and not self.reordered
        return same_form and not self.columns

    @property
    def causes(self) -> tuple[str, ...]:
        """Which ingredients moved, in words."""
        kinds = ("tables", "definitions", "parameters", "code", "libraries")
        return tuple(f"{kind}: {', '.join(moved)}" for kind in kinds if (moved := getattr(self, kind)))


def diff(before: Manifest, after: Manifest) -> ManifestDiff:
    """What moved from one training set to another."""
    old, new = ({each.name: each for each in manifest.content.columns} for manifest in (before, after))
    both = [name for name in old if name in new]
    spines = [each.spine and each.spine.content.digest for each in (before, after)]
    return ManifestDiff(
        rows=(before.content.rows, after.content.rows),
        schema=_moved(*({name: each.type for name, each in columns.items()} for columns in (old, new))),
        reordered=both != [name for name in new if name in old],
        columns=tuple(
            name for name in both if old[name].type == new[name].type and old[name].digest != new[name].digest
        ),
        spine_moved=spines[0] != spines[1],
        tables=_moved(before.tables, after.tables),
        definitions=_moved(_parts(before), _parts(after)),
        parameters=_moved(before.parameters, after.parameters),
        code=_moved(before.code, after.code),
        libraries=_moved(before.libraries, after.libraries),
    )


def _parts(manifest: Manifest) -> dict[str, Any]:
    return {
        f"{name}.{part}": value
        for name, view in manifest.views.items()
        for part, value in view.definition.items()
    }


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = {**before, **after}
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


class Difference(NamedTuple):
    """How a column differs in two tables that are as long."""

    values: int  # how many
    row: int  # the first of them, from 0
    before: object
    after: object


def differences(before: pa.Table, after: pa.Table) -> dict[str, Difference]:
    """Compare two tables of as many rows place by place; the columns of both that differ, in their order.

    Null is equal to null and NaN to NaN. A column whose type changed is left out.
    >>> import pyarrow as pa
    >>> differences(pa.table({"x": [1, 2, None]}), pa.table({"x": [1, None, None]}))
    {'x': Difference(values=1, row=1, before=2, after=None)}
    """
    found = {}
    for name in _alike(before, after):
        if before[name].equals(after[name]):
            continue
        pairs = zip(before[name].to_pylist(), after[name].to_pylist(), strict=True)
        rows = [row for row, pair in enumerate(pairs) if repr(pair[0]) != repr(pair[1])]
        if rows:  # not when all that differs is NaN, which Arrow finds unequal to itself
            row = rows[0]
            found[name] = Difference(len(rows), row, before[name][row].as_py(), after[name][row].as_py())
    return found


def common_rows(
    before: pa.Table, after: pa.Table, columns: Sequence[str]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows of each table whose values in `columns` the other has too, side by side; of doubles the first.

    Columns that are not of one plain type in both do not tell rows apart.
    >>> import pyarrow as pa
    >>> one, other = pa.table({"id": ["a", "b", "c"]}), pa.table({"id": ["c", "d", "b"]})
    >>> [rows.tolist() for rows in common_rows(one, other, ["id"])]
    [[1, 2], [2, 0]]
    """
    codes = np.zeros(before.num_rows + after.num_rows, np.int64)
    for name in _alike(before, after):
        if name in columns and not pa.types.is_nested(before[name].type):
            both = pa.chunked_array([*before[name].chunks, *after[name].cast(before[name].type).chunks])
            known = both.dictionary_encode("encode").combine_chunks().indices.to_numpy()
            codes = np.unique(codes * (int(known.max(initial=0)) + 1) + known, return_inverse=True)[1]
    old, new = np.split(codes, [before.num_rows])
    return np.intersect1d(old, new, return_indices=True)[1:]


def _alike(before: pa.Table, after: pa.Table) -> list[str]:
    """The columns that both tables have with values of one type."""
    both = (name for name in before.column_names if name in after.column_names)
    return [name for name in both if type_name(before[name].type) == type_name(after[name].type)]
