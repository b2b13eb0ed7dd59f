"""Artifacts by content."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipelines.codecs.test_storable import Note

from esteira.base.digest import digest_folder
from esteira.base.errors import CorruptArtifact, StorageUnwritable, UnknownScheme
from esteira.base.records import Artifact
from esteira.pipelines.artifacts import SMALL, ArtifactStore
from esteira.pipelines.codecs.port import Unstorable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = pa.table({"a": list(range(5000))})


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file:{tmp_path}/artifacts")


def files_of(store: ArtifactStore) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("value", "declared", "codec"),
    [
        ({"auc": 0.7}, dict, "json"),
        (ROWS, pa.Table, "table"),
        (Note("x"), Note, f"storable:{Note.__module__}:Note"),
    ],
)
def test_a_value_goes_in_and_comes_out(store: ArtifactStore, value: Any, declared: Any, codec: str) -> None:
    artifact = store.put(value, declared)
    assert artifact.codec == codec
    assert store.get(artifact, declared) == value
    assert artifact.digest == digest_folder(store.folder(artifact.digest))
    assert artifact.size == sum(
        p.stat().st_size for p in store.folder(artifact.digest).rglob("*") if p.is_file()
    )
    assert (store.count(), store.check(), store.is_intact(artifact)) == (1, [], True)


def test_the_same_content_is_one_artifact(store: ArtifactStore) -> None:
    assert store.put({"a": 1, "b": 2}) == store.put({"b": 2, "a": 1})
    assert store.put(ROWS) == store.put(pa.concat_tables([ROWS.slice(0, 7), ROWS.slice(7)]))
    assert store.count() == 2


@settings(max_examples=20, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), min_size=2, max_size=6))
def test_artifacts_are_equal_exactly_when_values_are(values: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(f"file:{folder}")
        kept = [store.put(each) for each in values]
        assert [a == b for a in kept for b in kept] == [x == y for x in values for y in values]


def test_small_values_are_handed_to_the_journal_and_large_ones_are_not(store: ArtifactStore) -> None:
    small, large = store.keep({"a": 1}), store.keep("x" * SMALL)
    assert small.small == ("value.json", b'{"a":1}')
    assert large.small is None


def test_nothing_is_left_in_scratch(store: ArtifactStore) -> None:
    store.put({"a": 1})
    store.put({"a": 1})
    with pytest.raises(Unstorable):
        store.put(object())
    assert list((store.root / ".scratch").iterdir()) == []


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def add(path: Path) -> None:
    (path.parent / "more").write_text("x")


@pytest.mark.parametrize("damage", [corrupt, truncate, add])
@pytest.mark.parametrize("value", [{"auc": 0.7}, ROWS, Note("late")])
def test_a_damaged_artifact_is_named_and_never_read(
    store: ArtifactStore, value: Any, damage: Callable[[Path], None]
) -> None:
    artifact = store.put(value)
    damage(next(p for p in store.folder(artifact.digest).rglob("*") if p.is_file()))
    assert not store.is_intact(artifact)
    assert not store.is_lost(artifact)
    assert artifact.digest[:12] in store.check()[0]
    with pytest.raises(CorruptArtifact, match=artifact.digest[:12]):
        store.get(artifact)
    store.put(value)
    assert store.get(artifact) == value
    assert store.check() == []


def test_a_missing_artifact_is_lost_and_corrupt_to_its_reader(store: ArtifactStore) -> None:
    artifact = Artifact("ab" * 32, "json", 3)
    assert store.is_lost(artifact)
    assert not store.is_intact(artifact)
    with pytest.raises(CorruptArtifact):
        store.get(artifact)


def test_a_lost_small_artifact_is_restored_from_the_bytes_kept_elsewhere(store: ArtifactStore) -> None:
    kept = store.keep({"a": 1})
    assert kept.small is not None
    path = store.folder(kept.artifact.digest) / kept.small[0]
    path.write_bytes(b"")  # what a power cut leaves of a file that was not synced
    assert store.is_lost(kept.artifact)
    assert not store.restore(kept.artifact, ("value.json", b"other"))
    assert store.restore(kept.artifact, kept.small)
    assert store.get(kept.artifact) == {"a": 1}


def test_a_folder_that_cannot_be_written_is_said_and_holds_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = ArtifactStore(f"file:{tmp_path}/file/artifacts")
    with pytest.raises(StorageUnwritable, match=r"cannot write to .*esteira.toml"):
        store.put({"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_only_files_are_a_place_for_artifacts_so_far() -> None:
    with pytest.raises(UnknownScheme):
        ArtifactStore("s3:bucket")


def test_what_a_killed_process_left_in_scratch_goes_after_a_day(store: ArtifactStore) -> None:
    store.put(1)
    old, fresh = store.root / ".scratch" / "old", store.root / ".scratch" / "fresh"
    for each in (old, fresh):
        each.mkdir()
    os.utime(old, (0, 0))
    ArtifactStore(f"file:{store.root}")
    assert (old.exists(), fresh.exists()) == (False, True)
    assert (store.count(), store.check()) == (1, [])


def test_threads_that_store_and_damage_the_same_value_never_read_a_wrong_one(store: ArtifactStore) -> None:
    artifact = store.put(ROWS)
    failures: list[BaseException] = []

    def write() -> None:
        for _ in range(15):
            try:
                assert store.put(ROWS) == artifact
                shutil.rmtree(store.folder(artifact.digest), ignore_errors=True)
            except BaseException as error:  # noqa: BLE001 - kept, and raised by the test
                failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert store.get(store.put(ROWS)) == ROWS
