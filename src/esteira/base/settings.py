"""Where things live: `esteira.toml`, overridden by `ESTEIRA_*` variables; a key nobody knows is refused."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path  # noqa: TC003 - a field type, read at run time by dataclasses.fields
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput, NotFound, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    grpc_port: int = 0  # of the gRPC server, in a process of its own; 0: there is none
    deadline_ms: int = 1_000  # that a request may wait for its model; one that would wait longer is refused
    max_waiting: int = 256  # requests that wait for one version, in each worker
    access: str = "open"  # to all but admin routes; or "keys": every route but health needs one
    tls_cert: str = ""  # PEM files, relative to the folder of esteira.toml: both or none
    tls_key: str = ""
    allow_pyfunc: bool = False  # whether models may run code that they bring, each in a process of its own
    pyfunc_seconds: int = 60  # that one call of such a model may take
    memory_mb: int = 0  # of models, over all workers: they come when asked for; 0: all are held
    load_seconds: int = 60  # that loading one version may take
    drain_ms: int = 0  # between SIGTERM, when readiness says no, and the end
    header_ms: int = 30_000  # for a request's head, and that a connection may idle
    connections: int = 1_024  # open at once in each worker; further ones wait


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What the gateway says of itself beyond /metrics; where no address is given, nothing is sent."""

    access_log: bool = False  # JSON lines in .esteira/access, without personal data
    access_log_bytes: int = 16_777_216  # of one file, then the next is begun
    access_log_files: int = 5  # kept for each worker
    otlp: str = ""  # the base URL of an OpenTelemetry collector: http://127.0.0.1:4318
    traces: float = 0.0  # share of the requests that are traced, 0 to 1; 0 traces none
    dogstatsd: str = ""  # host:port of a Datadog agent: 127.0.0.1:8125
    prefix: str = "esteira"  # of the names that the Datadog agent gets
    push_s: float = 10.0  # between two pushes of the metrics


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
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
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
    "telemetry": TelemetrySettings,
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
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
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
    kind = type(getattr(getattr(settings, section), key))
    if kind is str:
        return {section: {key: text}}
    read, meaning = _FROM_TEXT[kind]
    try:
        return {section: {key: read(text)}}
    except (KeyError, ValueError) as wrong:
        raise BadInput(f"{name} must be {meaning}, found {text!r}") from wrong


_FROM_TEXT: Mapping[type, tuple[Callable[[str], object], str]] = {
    bool: ({"true": True, "false": False}.__getitem__, "true or false"),
    float: (float, "a number"),
    int: (int, "a whole number"),
}


def _absolute(url: str, root: Path) -> str:
    scheme, separator, rest = url.partition(":")
    if not separator or not rest or rest.startswith("/") or "://" in rest:
        return url
    return f"{scheme}:{root / rest}"
