"""Find the `Project` in a project file; a file that raises gets one line, not a traceback."""

from __future__ import annotations

import sys
import traceback
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, MissingExtra, NotFound
from esteira.data.sources.files import FileSource
from esteira.project.definition import Project

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "esteira_project_"  # of the module that a project file becomes, so that it shadows no other


class ProjectFileBroken(BadInput):
    """A project file that cannot be executed, or that defines no project."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


def load_project(path: Path) -> Project:
    """Execute a project file and return the one `Project` that it defines.

    Raises: NotFound, MissingExtra, ProjectFileBroken (it raises, or defines none or several projects).
    """
    if not path.is_file():
        raise NotFound("project file", str(path), "name it under [project] file in esteira.toml")
    name = f"{PREFIX}{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ProjectFileBroken(path, "is not a Python file; give it the ending .py")
    module = module_from_spec(spec)
    sys.modules[name] = module  # annotations of steps are resolved through it
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # so that a project file may import its neighbours
    try:
        spec.loader.exec_module(module)
    except MissingExtra:  # says its own mend
        raise
    except (Exception, SystemExit) as raised:
        del sys.modules[name]
        raise ProjectFileBroken(path, _where(raised, path)) from raised
    found = {id(value): value for value in vars(module).values() if isinstance(value, Project)}
    if len(found) != 1:
        raise ProjectFileBroken(path, f"must define exactly one Project, found {len(found)}")
    return _at_home(found.popitem()[1], path.parent)


def _at_home(project: Project, folder: Path) -> Project:
    """The project whose files are found from anywhere: a path that is relative begins at its folder."""
    tables = [
        replace(each, read=replace(each.read, path=folder / each.read.path))
        if isinstance(each.read, FileSource)
        else each
        for each in project.tables
    ]
    return replace(project, tables=tables)


def _where(raised: BaseException, path: Path) -> str:
    if isinstance(raised, SyntaxError):
        neighbour = f"in {raised.filename}, " if raised.filename and raised.filename != str(path) else ""
        return f"{neighbour}line {raised.lineno}: {raised.msg}; correct that line"
    lines = [f.lineno for f in traceback.extract_tb(raised.__traceback__) if f.filename == str(path)]
    at = f"line {lines[-1]}: " if lines else ""
    return f"{at}{type(raised).__name__}: {raised}; correct that line"
