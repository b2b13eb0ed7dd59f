"""MLflow as the store of record: `mlflow ui`, MLflow's clients and `models:/name@alias` see what we write.

MLflow is loaded on first use, because that takes seconds.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import tempfile
import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from esteira.base.clock import from_micros, to_micros
from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput, CorruptArtifact, EsteiraError, NotFound
from esteira.base.files import folder_atomic, locked, sync_folder
from esteira.base.optional import load
from esteira.base.records import RunStatus, to_plain
from esteira.registry.backends.marks import DIGEST, RUN, version_marks, version_record
from esteira.registry.backends.refusals import reach, translate
from esteira.registry.bundle import Model
from esteira.registry.mlmodel import BUNDLE, Origin, mlmodel_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from esteira.base.records import ModelVersion, Run

Foreign: TypeAlias = Any  # MLflow ships no types that we check

_STATUS = {RunStatus.DONE: "FINISHED", RunStatus.FAILED: "FAILED"}
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI's pages for trained models
_BATCH = 100  # MLflow takes at most so many parameters, and tags, at once
_PAGE = 1000

_NO_CALL_HOME = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_DEFAULTS = {
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # whatever it logs as an error it also raises
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


class MlflowBackend:
    """Runs, versions and aliases in MLflow; each version holds a bundle that MLflow itself can load.

    `mlflow:` means the server of MLFLOW_TRACKING_URI or, without that variable, `mlflow.db` and `mlartifacts`
    in `home`; `mlflow:URI` and `http://…` name a server. Meets `Backend`.
    """

    def __init__(self, url: str, *, home: Path) -> None:
        given = url.removeprefix("mlflow:") or os.environ.get("MLFLOW_TRACKING_URI", "")
        self.home = home.absolute()
        self.uri = given or f"sqlite:///{self.home / 'mlflow.db'}"
        self._is_local = not given
        self._opening = threading.Lock()
        self._opened: Foreign = None

    def record_run(
        self,
        run: Run,
        *,
        metrics: Mapping[str, float],
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
    ) -> str:
        ended = run.finished_at or run.started_at
        with self._writing() as client:
            experiment = self._experiment(client, run.project)
            found = client.search_runs([experiment], f"tags.`{RUN}` = '{run.id}'", max_results=1)
            recorded = (
                found[0] if found else client.create_run(experiment, _millis(run.started_at), run_name=run.id)
            )
            mlflow_run: str = recorded.info.run_id
            params, marks = _params(parameters), _tags({**tags, **_run_tags(run)})
            _log(client, mlflow_run, _metrics(metrics, ended), params, marks)
            if run.status in _STATUS:
                client.set_terminated(mlflow_run, _STATUS[run.status], _millis(ended))
            return mlflow_run

    def register(
        self,
        name: str,
        bundle: Path,
        *,
        mlflow_run: str,
        digest: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> ModelVersion:
        model = Model.load(bundle)
        _check(bundle, digest, f"the bundle to register as {name}")
        with self._writing(NotFound("run", mlflow_run, "record it first")) as client:
            run = client.get_run(mlflow_run)
            marks = version_marks(run.data.tags.get(RUN, mlflow_run), digest, metrics, _ended(run))
            existing = _found(client, name)
            for each in existing:
                if (each.tags.get(DIGEST), each.tags.get(RUN)) == (
                    digest,
                    marks[RUN],
                ):  # repeated after a kill
                    return self.version(name, int(each.version))
            logged = client.create_logged_model(
                run.info.experiment_id, name, mlflow_run, {DIGEST: digest}, model_type=model.runtime
            )
            self._upload(client, logged, bundle, mlmodel_files(model, digest, _origin(logged, run)))
            _link(client, logged, _metrics(metrics, _ended(run), logged.model_id))
            if not existing and not _models(client, name):
                client.create_registered_model(name)
            return version_record(_create_version(client, name, logged, {**tags, **marks}), ())

    def names(self) -> list[str]:
        with self._using() as client:
            return sorted(model.name for model in _pages(client.search_registered_models))

    def versions(self, name: str) -> list[ModelVersion]:
        with self._using() as client:
            return _versions(client, name)

    def version(self, name: str, number: int) -> ModelVersion:
        with self._using(_no_version(name, number)) as client:
            found = client.get_model_version(_safe(name), str(number))
            return version_record(found, found.aliases)

    def set_alias(self, name: str, alias: str, number: int) -> None:
        with self._writing(_no_version(name, number)) as client:
            client.set_registered_model_alias(_safe(name), alias, str(number))

    def alias(self, name: str, alias: str) -> ModelVersion | None:
        with self._using() as client:
            number = _aliases(client, name).get(alias)
        return None if number is None else self.version(name, number)

    def fetch(self, name: str, number: int) -> Path:
        version = self.version(name, number)
        what = f"the bundle of {name} version {number}"
        if not version.digest:
            raise BadInput(f"{what} does not exist: esteira did not register it; train it here to serve it")
        with self._using(_no_version(name, number)) as client:
            source: str = client.get_model_version(name, str(number)).source
            parts = urlsplit(source)
            if parts.scheme not in ("", "file"):
                return self._download(f"{source}/{BUNDLE}", version.digest, what)
        folder = Path(unquote(parts.path)) / BUNDLE
        _check(folder, version.digest, what)
        return folder

    @contextmanager
    def _using(self, missing: NotFound | None = None) -> Iterator[Foreign]:
        """The client, and our errors for MLflow's refusals; `missing` is what an absent thing means here."""
        try:
            yield self._client()
        except EsteiraError:
            raise
        except Exception as refused:
            translated = translate(refused, self.uri, self.home, missing)
            if translated is None:
                raise
            raise translated from refused

    @contextmanager
    def _writing(self, missing: NotFound | None = None) -> Iterator[Foreign]:
        """As `_using`, one writer at a time where the store is ours."""
        with self._using(missing) as client, self._alone():
            yield client

    def _alone(self) -> AbstractContextManager[None]:
        return locked(self.home / "mlflow.lock") if self._is_local else nullcontext()

    def _client(self) -> Foreign:
        with self._opening:
            if self._opened is None:
                reach(self.uri)
                for variable, value in _DEFAULTS.items():
                    os.environ.setdefault(variable, value)
                os.environ.update(_NO_CALL_HOME)
                client = load("mlflow:MlflowClient")  # raises MissingExtra, which an import would not
                chatter = logging.getLogger("mlflow")  # which user code may have imported, and so set, before
                chatter.setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
                self.home.mkdir(parents=True, exist_ok=True)
                if self._is_local:
                    self._create_database()
                self._opened = client(self.uri, self.uri if self._is_local else None)
            return self._opened

    def _create_database(self) -> None:
        """Migrate a scratch file and rename it: neither a kill nor a second process sees half a schema."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        database = self.home / "mlflow.db"
        with self._alone():
            if database.exists():
                return
            with tempfile.TemporaryDirectory(dir=self.home, prefix=".tmp-") as scratch:
                new = Path(scratch) / database.name
                SqlAlchemyStore(f"sqlite:///{new}", (self.home / "mlartifacts").as_uri()).engine.dispose()
                connection = sqlite3.connect(new)
                connection.execute("PRAGMA journal_mode=WAL")  # `mlflow ui` may read while we write
                connection.close()
                new.replace(database)
            sync_folder(self.home)

    def _experiment(self, client: Foreign, project: str) -> str:
        found = client.get_experiment_by_name(project)
        if found is None:
            place = (self.home / "mlartifacts").as_uri() if self._is_local else None
            created: str = client.create_experiment(project, place, _EXPERIMENT_TAGS)
            return created
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        existing: str = found.experiment_id
        return existing

    def _upload(self, client: Foreign, logged: Foreign, bundle: Path, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory(dir=self.home, prefix=".tmp-") as staging:
            shutil.copytree(bundle, Path(staging) / BUNDLE)
            for name, content in files.items():
                (Path(staging) / name).write_bytes(content)
            client.log_model_artifacts(logged.model_id, staging)
        client.finalize_logged_model(logged.model_id, "READY")

    def _download(self, address: str, digest: str, what: str) -> Path:
        from mlflow.artifacts import download_artifacts

        kept = self.home / "bundles" / digest
        if kept.is_dir():
            if digest_folder(kept) == digest:
                return kept
            shutil.rmtree(kept)
        with tempfile.TemporaryDirectory(dir=self.home, prefix=".tmp-") as scratch:
            found = Path(download_artifacts(artifact_uri=address, dst_path=scratch, tracking_uri=self.uri))
            _check(found, digest, what)
            with folder_atomic(kept) as target:
                shutil.copytree(found, target, dirs_exist_ok=True)
        return kept


def _versions(client: Foreign, name: str) -> list[ModelVersion]:
    found = _found(client, name)
    aliases: dict[int, list[str]] = {}
    for alias, number in (_aliases(client, name) if found else {}).items():
        aliases.setdefault(number, []).append(alias)
    records = [version_record(each, aliases.get(int(each.version), ())) for each in found]
    return sorted(records, key=lambda record: record.version)


def _found(client: Foreign, name: str) -> list[Foreign]:
    return list(_pages(client.search_model_versions, f"name = '{_safe(name)}'"))


def _models(client: Foreign, name: str) -> list[Foreign]:
    return list(_pages(client.search_registered_models, f"name = '{_safe(name)}'"))


def _aliases(client: Foreign, name: str) -> dict[str, int]:
    return {alias: int(number) for model in _models(client, name) for alias, number in model.aliases.items()}


def _create_version(client: Foreign, name: str, logged: Foreign, tags: dict[str, str]) -> Foreign:
    created = client.create_model_version(
        name, logged.artifact_location, logged.source_run_id, tags, model_id=logged.model_id
    )
    linked = json.dumps([{"name": name, "version": created.version}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": linked})
    return created


def _link(client: Foreign, logged: Foreign, metrics: list[Foreign]) -> None:
    """Show the model as what its run gave out, with its metrics."""
    from mlflow.entities import LoggedModelOutput

    client.log_outputs(logged.source_run_id, [LoggedModelOutput(logged.model_id, step=0)])
    _log(client, logged.source_run_id, metrics, [], [])


def _log(
    client: Foreign, mlflow_run: str, metrics: list[Foreign], params: list[Foreign], tags: list[Foreign]
) -> None:
    for at in range(0, max(len(metrics), len(params), len(tags)), _BATCH):
        part = slice(at, at + _BATCH)
        client.log_batch(mlflow_run, metrics[part], params[part], tags[part])


def _metrics(metrics: Mapping[str, float], at: datetime, model_id: str | None = None) -> list[Foreign]:
    from mlflow.entities import Metric

    return [Metric(key, value, _millis(at), 0, model_id=model_id) for key, value in sorted(metrics.items())]


def _params(parameters: Mapping[str, object]) -> list[Foreign]:
    from mlflow.entities import Param

    return [Param(key, _text(value)) for key, value in sorted(parameters.items())]


def _tags(tags: Mapping[str, str]) -> list[Foreign]:
    from mlflow.entities import RunTag

    return [RunTag(key, value) for key, value in sorted(tags.items())]


def _pages(search: Callable[..., Foreign], condition: str | None = None) -> Iterator[Foreign]:
    token = None
    while True:
        page = search(condition, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _run_tags(run: Run) -> dict[str, str]:
    tags = {RUN: run.id, "mlflow.source.name": run.project, "mlflow.source.type": "PROJECT"}
    return tags | ({"esteira.error": run.error} if run.error else {})


def _origin(logged: Foreign, run: Foreign) -> Origin:
    from mlflow import __version__ as version

    return Origin(logged.model_id, run.info.run_id, logged.artifact_location, _ended(run), version)


def _ended(run: Foreign) -> datetime:
    return from_micros((run.info.end_time or run.info.start_time) * 1000)


def _millis(moment: datetime) -> int:
    return to_micros(moment) // 1000


def _text(value: object) -> str:
    plain = to_plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, default=str, sort_keys=True)


def _no_version(name: str, number: int) -> NotFound:
    return NotFound("version", f"{number} of model {name}", "see: esteira status")


def _safe(name: str) -> str:
    if "'" in name:
        raise BadInput(f"model name {name!r} holds a quote; use letters, digits and -_.")
    return name


def _check(folder: Path, digest: str, what: str) -> None:
    found = digest_folder(folder)
    if found != digest:
        raise CorruptArtifact(what, digest, found)
