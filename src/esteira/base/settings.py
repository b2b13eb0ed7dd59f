"""Where things live: `esteira.toml`, overridden by `ESTEIRA_*` variables; a key nobody knows is refused."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path  # noqa: TC003 - a field type, read at run time by dataclasses.fields
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput, NotFound, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "esteira.toml"
PREFIX = "ESTEIRA_"


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    name: str = "esteira"
    file: str = "project.py"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One URL for each store; relative paths count from the folder of esteira.toml."""

    tables: str = "delta:.esteira/tables"
    artifacts: str = "file:.esteira/artifacts"
    journal: str = "sqlite:.esteira/journal.db"
    tracking: str = "mlflow:"  # MLFLOW_TRACKING_URI, else a local SQLite
    online: str = "lmdb:.esteira/online"
    features: str = "sqlite:.esteira/features.db"
    predictions: str = "file:.esteira/predictions"
    state: str = "sqlite:.esteira/state.db"
    audit: str = "sqlite:.esteira/audit.db"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    flush_ms: int = 50  # a prediction is on disk at most this long after its answer
    max_body_bytes: int = 4_194_304


@dataclass(frozen=True, slots=True)
class WebSettings:
    host: str = "127.0.0.1"
    port: int = 8081
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a project folder."""

    root: Path
    project: ProjectSettings = field(default_factory=ProjectSettings)
    stores: StoreSettings = field(default_factory=StoreSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    web: WebSettings = field(default_factory=WebSettings)
    clock: str = "system:"
    log_level: str = "warning"

    def store(self, name: str) -> str:
        """The URL of a store with its path made absolute.

        >>> Settings(Path("/srv/p")).store("online")
        'lmdb:/srv/p/.esteira/online'
        """
        return _absolute(getattr(self.stores, name), self.root)

    def clock_url(self) -> str:
        """The URL of the clock with its path made absolute."""
        return _absolute(self.clock, self.root)

    @property
    def home(self) -> Path:
        """The folder of everything that esteira keeps for the project."""
        return self.root / ".esteira"


_SECTIONS: Mapping[str, type] = {
    "project": ProjectSettings,
    "stores": StoreSettings,
    "gateway": GatewaySettings,
    "web": WebSettings,
}
_TOP = {"clock", "log_level"}


def load_settings(folder: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read `esteira.toml` in `folder` and the `ESTEIRA_*` variables.

    Raises: NotFound (no file), BadInput (malformed, wrong type), UnknownName (a key nobody knows).
    """
    path = folder / FILE
    if not path.is_file():
        raise NotFound("file", str(path), "go to a project folder, or make one with: esteira init NAME")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise BadInput(f"{path} is not valid TOML: {wrong}; correct that line") from wrong
    settings = _merge(Settings(root=folder.resolve()), document, str(path))
    return _from_environment(settings, os.environ if environment is None else environment)


def _merge(settings: Settings, document: Mapping[str, Any], where: str) -> Settings:
    for key, value in document.items():
        if key in _TOP:
            changed: dict[str, Any] = {key: _typed(value, str, f"{key} in {where}")}
            settings = replace(settings, **changed)
        elif key in _SECTIONS and isinstance(value, dict):
            changed = {key: _section(getattr(settings, key), key, value, where)}
            settings = replace(settings, **changed)
        elif key in _SECTIONS:
            raise BadInput(f"{key} in {where} must be a table: write [{key}] on a line of its own")
        else:
            raise UnknownName(f"key in {where}", key, [*_SECTIONS, *_TOP])
    return settings


def _section(current: Any, name: str, values: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 - any section
    known = {f.name: type(getattr(current, f.name)) for f in fields(current)}
    for key in values:
        if key not in known:
            raise UnknownName(f"key in [{name}] of {where}", key, known)
    return replace(current, **{k: _typed(v, known[k], f"{name}.{k} in {where}") for k, v in values.items()})


def _typed(value: object, kind: type, what: str) -> object:
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise BadInput(f"{what} must be {kind.__name__}, found {value!r}")


def _from_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    known: dict[str, tuple[str, ...]] = {f"{PREFIX}{top.upper()}": (top,) for top in _TOP}
    for section, kind in _SECTIONS.items():
        known |= {f"{PREFIX}{section}_{f.name}".upper(): (section, f.name) for f in fields(kind)}
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise UnknownName("variable", name, known)
        settings = _merge(settings, _nested(settings, known[name], text, name), "the environment")
    return settings


def _nested(settings: Settings, path: tuple[str, ...], text: str, name: str) -> dict[str, Any]:
    if len(path) == 1:
        return {path[0]: text}
    section, key = path
    if not isinstance(getattr(getattr(settings, section), key), int):
        return {section: {key: text}}
    try:
        return {section: {key: int(text)}}
    except ValueError as wrong:
        raise BadInput(f"{name} must be a whole number, found {text!r}") from wrong


def _absolute(url: str, root: Path) -> str:
    scheme, separator, rest = url.partition(":")
    if not separator or not rest or rest.startswith("/") or "://" in rest:
        return url
    return f"{scheme}:{root / rest}"
