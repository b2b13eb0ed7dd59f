"""Whose code a file is, and which installed distributions stand behind a module."""

from __future__ import annotations

import site
import sys
import sysconfig
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOUSE = str(Path(__file__).parents[1])
_SITES = ("site-packages", "dist-packages")

# What esteira's own rooms compute with on a step's behalf: it loads them by name, so no step imports them.
COMPUTING = ("deltalake", "duckdb", "lightgbm", "numpy", "pyarrow", "scikit-learn", "skops")


class Owner(StrEnum):
    PROJECT = "project"
    ESTEIRA = "esteira"
    PYTHON = "python"
    INSTALLED = "installed"


@cache
def owner_of_file(file: str) -> Owner:
    """Whose a source file is; text typed at a prompt is the project's.

    >>> import json; owner_of_file(json.__file__).value
    'python'
    """
    if file.startswith("<frozen"):
        return Owner.PYTHON
    path = Path(file)
    if any(part in _SITES for part in path.parts) or _below(path, _installed_folders()):
        return Owner.INSTALLED
    if _below(path, (_HOUSE,)):
        return Owner.ESTEIRA
    paths = sysconfig.get_paths()
    return Owner.PYTHON if _below(path, (paths["stdlib"], paths["platstdlib"])) else Owner.PROJECT


@cache
def owner_of_module(name: str) -> Owner:
    """Whose a module is, by its name and, when it is loaded, its file.

    >>> owner_of_module("esteira.base.errors").value, owner_of_module("sys").value
    ('esteira', 'python')
    """
    top = name.partition(".")[0]
    if top == "esteira":
        return Owner.ESTEIRA
    if top == "builtins" or (top in sys.stdlib_module_names and top != "__main__"):
        return Owner.PYTHON
    file = getattr(sys.modules.get(name), "__file__", None) or _would_load(top)
    return owner_of_file(file) if file else Owner.PROJECT


def is_project(module: str) -> bool:
    """Whether a module is the user's own code: neither installed, nor Python's, nor esteira's."""
    return owner_of_module(module) is Owner.PROJECT


@cache
def distributions_of(module: str) -> Mapping[str, str]:
    """The installed distributions behind a module's top package, with their versions.

    >>> list(distributions_of("pyarrow.compute"))
    ['pyarrow']
    """
    top = module.partition(".")[0]
    if top == "esteira":
        return version_of("esteira-ml") | {k: v for each in COMPUTING for k, v in version_of(each).items()}
    found = version_of(top)
    if found:
        return found
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - reads every installed package

    return {k: v for name in packages_distributions().get(top, ()) for k, v in version_of(name).items()}


@cache
def version_of(distribution: str) -> dict[str, str]:
    """The version of a distribution by its name; empty when it is not installed.

    >>> list(version_of("numpy")), version_of("no-such-thing")
    (['numpy'], {})
    """
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to load

    try:
        return {distribution: version(distribution)}
    except PackageNotFoundError:
        return {}


@cache
def _installed_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    own = {paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()}
    return tuple(sorted(own))


def _would_load(top: str) -> str:
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # a module without a spec, such as __main__
        return ""
    return (spec.origin or next(iter(spec.submodule_search_locations or ()), "")) if spec else ""


def _below(path: Path, folders: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
