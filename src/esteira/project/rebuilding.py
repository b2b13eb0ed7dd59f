"""Training sets compared, and made again from their manifests."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, CheckFailed
from esteira.base.records import Run, RunStatus
from esteira.features.manifest import common_rows, diff, differences
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.execution import StepFailed
from esteira.pipelines.journal import Journal
from esteira.project.datasets import describe
from esteira.project.running import run_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from esteira.features.manifest import Difference, Manifest, ManifestDiff
    from esteira.project.station import Station


class OtherTables(BadInput):
    """Tables that are not those of a manifest: the same version of one holds other rows here."""

    def __init__(self, table: str, expected: int, found: int) -> None:
        super().__init__(
            f"{table} has {found:,} rows here and {expected:,} in the manifest, so it is another table; "
            "run this where the tables are those that the training set was made of"
        )
        self.table, self.expected, self.found = table, expected, found


class NotRebuildable(CheckFailed):
    """A training set that the project, as it is now, cannot make at all."""

    def __init__(self, dataset: str, reason: str) -> None:
        mend = "check out the project files of that time and try again"
        super().__init__(
            f"training set {dataset[:12]} cannot be made by the project as it is now: {reason}; {mend}"
        )
        self.dataset, self.reason = dataset, reason


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two training sets: what moved in their manifests, and in the rows that both have.

    A row is in both when all that its spine says is; without a spine, when all of it is.
    """

    before: Manifest
    after: Manifest
    moved: ManifestDiff
    common: int | None = None  # rows that both have; None when the rows of one are not here any more
    values: Mapping[str, Difference] = field(default_factory=dict)  # by column, of the rows that both have

    @property
    def equal(self) -> bool:
        return self.before.digest == self.after.digest

    @property
    def cause(self) -> str:
        """Why the content differs, as far as can be known; empty when it does not."""
        if self.equal:
            return ""
        causes = "; ".join(self.moved.causes)
        return f"not as it was: {causes}" if causes else "the same ingredients gave other content"


def compare(station: Station, before: Manifest, after: Manifest) -> Comparison:
    """What moved from one training set to another. Raises: CorruptArtifact."""
    return _compared(before, after, _stored(station, before), _stored(station, after))


def rebuild(station: Station, manifest: Manifest) -> Comparison:
    """Make a training set again from its pinned inputs, without any cache, and compare it with what it was.

    Works with any project folder that has the same tables, also where nothing was ever run.
    Raises: NotFound (a table or version is not here), OtherTables, NotRebuildable.
    """
    for name, pinned in manifest.tables.items():
        here = station.tables.version(name, pinned.version)
        if here.rows != pinned.rows:
            raise OtherTables(here.ref, pinned.rows, here.rows)
    earlier = Run(
        manifest.run_id,
        manifest.project,
        RunStatus.DONE,
        manifest.created_at,
        parameters=manifest.parameters,
        inputs=manifest.inputs,
    )
    with tempfile.TemporaryDirectory(prefix="esteira-rebuild-") as scratch:
        journal = Journal(f"sqlite:{scratch}/journal.db")
        artifacts = ArtifactStore(f"file:{Path(scratch) / 'artifacts'}")
        try:
            outcome = run_again(
                station, earlier, targets=[manifest.step], journal=journal, artifacts=artifacts
            )
        except (BadInput, StepFailed) as cannot:
            raise NotRebuildable(manifest.digest, str(cannot)) from cannot
        made = describe(station, outcome, manifest.step, journal)
        return _compared(manifest, made, _stored(station, manifest), outcome.value(manifest.step))


def _stored(station: Station, manifest: Manifest) -> pa.Table | None:
    """The rows of a training set, if this project still keeps them. Raises: CorruptArtifact."""
    if station.artifacts.is_lost(manifest.artifact):
        return None
    return station.artifacts.get(manifest.artifact)


def _compared(before: Manifest, after: Manifest, old: pa.Table | None, new: pa.Table | None) -> Comparison:
    moved = diff(before, after)
    if moved.equal:
        return Comparison(before, after, moved, old.num_rows if old else None, {})
    if old is None or new is None:
        return Comparison(before, after, moved)
    if moved.rows[0] == moved.rows[1] and not moved.spine_moved:
        return Comparison(before, after, moved, old.num_rows, differences(old, new))
    told_by = [each.name for each in before.spine.content.columns] if before.spine else old.column_names
    here, there = common_rows(old, new, told_by)
    return Comparison(before, after, moved, len(here), differences(old.take(here), new.take(there)))
