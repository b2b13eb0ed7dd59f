"""What every tracking and registry store owes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput, CorruptArtifact, NotFound
from esteira.base.records import Run, RunStatus
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.records import ModelVersion
    from esteira.registry.backends.port import Backend

SIGNATURE = Signature((Column("miles"), Column("carrier", "category", ("AA", "UA"))), "late")
STARTED, ENDED = datetime(2013, 4, 1, 12, tzinfo=UTC), datetime(2013, 4, 1, 12, 5, tzinfo=UTC)


def bundle_of(model: Model, folder: Path) -> tuple[Path, str]:
    """The model's bundle in a new folder, and its digest."""
    folder.mkdir()
    model.save(folder)
    return folder, digest_folder(folder)


def small_model(mark: str = "") -> Model:
    return Model("sums", SIGNATURE, {"model.json5": f"// {mark}".encode()}, {"rows": 3})


def finished(run_id: str, project: str) -> Run:
    return Run(run_id, project, RunStatus.DONE, STARTED, ENDED)


class BackendContract:
    """Subclass it with a fixture `backend`. Every test has a name of its own, so one server may serve all."""

    @pytest.fixture
    def name(self) -> str:
        return f"flights-{uuid.uuid4().hex[:8]}"

    def record(self, backend: Backend, name: str, run_id: str = "run-1") -> str:
        return backend.record_run(
            finished(run_id, name), metrics={"roc_auc": 0.75}, parameters={"seed": 7}, tags={"why": "test"}
        )

    def register(
        self, backend: Backend, name: str, folder: Path, mark: str = "", run_id: str = "run-1"
    ) -> ModelVersion:
        bundle, digest = bundle_of(small_model(mark), folder)
        return backend.register(
            name,
            bundle,
            mlflow_run=self.record(backend, name, run_id),
            digest=digest,
            metrics={"roc_auc": 0.75, "brier": 0.25},
            tags={"esteira.gates": "passed"},
        )

    def test_a_run_recorded_twice_is_one_run(self, backend: Backend, name: str) -> None:
        assert self.record(backend, name) == self.record(backend, name)
        assert self.record(backend, name) != self.record(backend, name, "run-2")

    def test_a_run_may_be_recorded_while_it_runs_and_when_it_has_ended(
        self, backend: Backend, name: str
    ) -> None:
        running = Run("run-1", name, RunStatus.RUNNING, STARTED)
        first = backend.record_run(running, metrics={}, parameters={}, tags={})
        assert self.record(backend, name) == first

    def test_a_version_comes_back_with_its_papers(self, backend: Backend, name: str, tmp_path: Path) -> None:
        made = self.register(backend, name, tmp_path / "bundle")
        assert (made.name, made.version, made.run_id) == (name, 1, "run-1")
        assert made.digest == digest_folder(tmp_path / "bundle")
        assert made.metrics == {"roc_auc": 0.75, "brier": 0.25}
        assert made.tags["esteira.gates"] == "passed"
        assert made.created_at == ENDED
        assert made.aliases == ()

    def test_versions_count_up_and_come_newest_last(
        self, backend: Backend, name: str, tmp_path: Path
    ) -> None:
        made = [self.register(backend, name, tmp_path / mark, mark, mark) for mark in ("a", "b", "c")]
        assert [version.version for version in made] == [1, 2, 3]
        assert backend.versions(name) == made

    def test_the_same_bundle_of_the_same_run_is_registered_once(
        self, backend: Backend, name: str, tmp_path: Path
    ) -> None:
        first = self.register(backend, name, tmp_path / "a")
        assert self.register(backend, name, tmp_path / "b") == first
        assert self.register(backend, name, tmp_path / "c", run_id="run-2").version == 2

    def test_a_version_is_the_same_record_however_it_is_asked_for(
        self, backend: Backend, name: str, tmp_path: Path
    ) -> None:
        self.register(backend, name, tmp_path / "bundle")
        for alias in ("champion", "baseline"):
            backend.set_alias(name, alias, 1)
        one = backend.version(name, 1)
        assert one.aliases == ("baseline", "champion")
        assert backend.versions(name) == [one]
        assert backend.alias(name, "champion") == one

    def test_an_alias_moves(self, backend: Backend, name: str, tmp_path: Path) -> None:
        for mark in ("a", "b"):
            self.register(backend, name, tmp_path / mark, mark, mark)
        backend.set_alias(name, "champion", 1)
        backend.set_alias(name, "champion", 2)
        assert [version.aliases for version in backend.versions(name)] == [(), ("champion",)]

    def test_what_does_not_exist_is_said_to_be_missing(
        self, backend: Backend, name: str, tmp_path: Path
    ) -> None:
        assert backend.versions(name) == []
        assert backend.alias(name, "champion") is None
        with pytest.raises(NotFound, match=f"version '1 of model {name}' does not exist"):
            backend.version(name, 1)
        self.register(backend, name, tmp_path / "bundle")
        assert backend.alias(name, "champion") is None
        for act in (backend.version, backend.fetch, lambda n, v: backend.set_alias(n, "champion", v)):
            with pytest.raises(NotFound, match=f"version '9 of model {name}' does not exist"):
                act(name, 9)

    def test_all_names_are_known_in_order(self, backend: Backend, name: str, tmp_path: Path) -> None:
        for each in (f"{name}-b", f"{name}-a"):
            self.register(backend, each, tmp_path / each)
        names = backend.names()
        assert names == sorted(names)
        assert {f"{name}-a", f"{name}-b"} <= set(names)

    def test_what_is_fetched_is_what_was_registered(
        self, backend: Backend, name: str, tmp_path: Path
    ) -> None:
        made = self.register(backend, name, tmp_path / "bundle")
        for _ in range(2):
            folder = backend.fetch(name, 1)
            assert digest_folder(folder) == made.digest
            assert Model.load(folder) == small_model()

    def test_a_bundle_of_another_digest_is_not_registered(
        self, backend: Backend, name: str, tmp_path: Path
    ) -> None:
        bundle, _ = bundle_of(small_model(), tmp_path / "bundle")
        with pytest.raises(CorruptArtifact):
            backend.register(
                name, bundle, mlflow_run=self.record(backend, name), digest="0" * 64, metrics={}, tags={}
            )
        assert backend.versions(name) == []

    def test_a_corrupt_bundle_is_not_registered(self, backend: Backend, name: str, tmp_path: Path) -> None:
        bundle, _ = bundle_of(small_model(), tmp_path / "bundle")
        (bundle / "model.json5").write_bytes(b"other")
        with pytest.raises(CorruptArtifact):
            backend.register(
                name,
                bundle,
                mlflow_run=self.record(backend, name),
                digest=digest_folder(bundle),
                metrics={},
                tags={},
            )
        assert backend.versions(name) == []

    def test_a_bundle_of_an_unknown_run_is_not_registered(
        self, backend: Backend, name: str, tmp_path: Path
    ) -> None:
        bundle, digest = bundle_of(small_model(), tmp_path / "bundle")
        with pytest.raises(NotFound, match="record it first"):
            backend.register(name, bundle, mlflow_run="f" * 32, digest=digest, metrics={}, tags={})

    @pytest.mark.parametrize("wrong", ["it's", "a/b", "a:b", ""])
    def test_a_name_that_cannot_be_is_refused(self, backend: Backend, wrong: str, tmp_path: Path) -> None:
        with pytest.raises(BadInput):
            self.register(backend, wrong, tmp_path / "bundle")
