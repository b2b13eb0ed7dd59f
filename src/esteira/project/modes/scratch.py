"""A project aside, in a folder that is deleted: one version of a model serves, and rows wait for it.

It has the settings and the code of the project that it is made of, and stores of its own: whatever is scored
there is not seen by anybody. Its clock stands still, so that features are the same in every mode.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import open_clock
from esteira.base.errors import BadInput, NotFound
from esteira.base.settings import FILE, PREFIX, StoreSettings, load_settings
from esteira.data.tables import open_tables
from esteira.data.tables.port import SEQUENCE
from esteira.data.tables.schema import TIME
from esteira.features.keys import key_column
from esteira.features.ledger import FeatureLedger
from esteira.features.stores import open_store
from esteira.pipelines.artifacts import ArtifactStore
from esteira.project.asked_rows import asked_rows, fields_asked
from esteira.project.benching import aside
from esteira.project.feed import OnlineFeed
from esteira.project.scoring.views import pin_views
from esteira.registry.bundle import Model
from esteira.serving.routes import CHAMPION, Arm, Routes, RouteStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from esteira.base.settings import Settings
    from esteira.data.tables.port import TableStore
    from esteira.project.running import ViewInput
    from esteira.project.station import Station
    from esteira.serving.load.rows import Field, Row

SOURCE = "bench_rows"
_AT_ONCE = 65_536  # rows that are copied


@dataclass(frozen=True)
class Scratch:
    """The project aside, and what is to be scored there."""

    folder: Path
    environment: Mapping[str, str]  # of whoever works there
    model: str
    version: int
    fields: tuple[Field, ...]
    rows: Sequence[Row]
    recorded: int  # rows that came from the prediction log
    at: str = ""  # the column with the time as of which views are read; empty without views

    @cached_property
    def settings(self) -> Settings:
        return load_settings(self.folder, self.environment)

    @cached_property
    def tables(self) -> TableStore:
        return open_tables(self.settings.store("tables"))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The version that is measured."""

    version: int
    model: Model


def choose(station: Station, number: int | None) -> Chosen:
    """A version of the project, or its champion. Nothing is changed for it.

    Raises: NotFound (no such version, no champion), BadInput (a version of other makers, a model of tensors),
    CorruptArtifact.
    """
    name = station.project.name
    if number is None:
        routes = station.routes.get(name)
        if routes is None:
            mend = "deploy one: esteira deploy N; or name one: --version N"
            raise NotFound(CHAMPION, name, mend)
        number = routes.champion.version
    digest = station.routes.known(name).get(number) or station.version(number).digest
    if not digest:
        raise BadInput(f"version {number} of {name} has no digest: it was not registered by esteira")
    folder = station.artifacts.folder(digest)
    model = Model.load(folder if folder.is_dir() else station.registry.fetch(name, number))
    if model.tensors is not None:
        raise BadInput(
            f"version {number} takes tensors, and tables and messages have columns; "
            "measure how it answers requests: esteira bench serving"
        )
    return Chosen(number, model)


def lay_scratch(folder: Path, station: Station, chosen: Chosen, count: int) -> Scratch:
    """Make the project aside in an empty folder, with `count` rows and the features that they ask for.

    Raises: UnknownName, BadInput (a view that changed since the model was trained), StorageUnwritable.
    """
    shutil.copyfile(station.settings.root / FILE, folder / FILE)
    environment = _environment(folder, station)
    settings = load_settings(folder, environment)
    name, signature = station.project.name, chosen.model.signature
    digest = ArtifactStore(settings.store("artifacts")).put(chosen.model, Model).digest
    routes = RouteStore(settings.store("state"))
    routes.know(name, chosen.version, digest)
    routes.set(Routes(name, (Arm(CHAMPION, chosen.version, digest, 1.0),), name))
    asked = asked_rows(station, chosen.version, signature, fields_asked(signature), count)
    at = _free_name("asked_at", [field.name for field in asked[0]]) if signature.views else ""
    scratch = Scratch(folder, environment, name, chosen.version, *asked, at)
    views = pin_views(station, signature, None)
    now = station.clock.now()
    _copy_features(scratch, views, now)
    scratch.tables.append(SOURCE, _table(scratch, views, now))
    return scratch


def _environment(folder: Path, station: Station) -> dict[str, str]:
    """The variables that lead from the project's stores to those aside."""
    stores = {f"{PREFIX}STORES_{each.name.upper()}": str(each.default) for each in fields(StoreSettings)}
    return {
        **os.environ,
        **aside(folder, checks_keys=False),
        **stores,
        f"{PREFIX}PROJECT_FILE": str((station.settings.root / station.settings.project.file).resolve()),
        f"{PREFIX}CLOCK": f"simulated:{folder}/clock?start={station.clock.now().isoformat()}",
    }


def _copy_features(scratch: Scratch, views: Sequence[ViewInput], now: datetime) -> None:
    """The tables of the views, and an online store that holds what they say now."""
    for source in {each.source.name: each.source for each in views}.values():
        for rows in source.tables.scan(source.name, version=source.version, size=_AT_ONCE):
            scratch.tables.append(source.name, rows.drop_columns([SEQUENCE]))
    if views:
        settings = scratch.settings
        ledger = FeatureLedger(settings.store("features"), open_clock(settings.clock_url()))
        with closing(open_store(settings.store("online"))) as online:
            OnlineFeed([each.view for each in views], online, ledger).catch_up(scratch.tables, now)


def _table(scratch: Scratch, views: Sequence[ViewInput], now: datetime) -> pa.Table:
    """The rows as a table: keys as the tables of the views have them, and the moment they are asked at."""
    kinds = {"FP64": pa.float64(), "BYTES": pa.string()}
    columns = {
        field.name: pa.array([row[field.name] for row in scratch.rows], kinds[field.datatype])
        for field in scratch.fields
    }
    for each in views:
        for key in each.view.keys:
            empty = scratch.tables.describe(each.source.name).schema.empty_table()
            columns[key] = pc.cast(columns[key], key_column(empty, key, each.source.name).type)
    if scratch.at:
        columns[scratch.at] = pa.array([now] * len(scratch.rows), TIME)
    return pa.table(columns)


def _free_name(name: str, taken: Sequence[str]) -> str:
    """
    >>> _free_name("asked_at", ["asked_at"])
    'asked_at_'
    """
    return _free_name(f"{name}_", taken) if name in taken else name
