"""Project folders to start from."""

from __future__ import annotations

from pathlib import Path

from esteira.base.errors import BadInput
from esteira.base.files import write_atomic, writing
from esteira.base.settings import FILE as SETTINGS

FLIGHTS = Path(__file__).parent / "flights"


class FolderNotEmpty(BadInput):
    """A folder that holds something already: nothing is ever written over."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is not empty; choose another name, or empty it first")
        self.folder = folder


def lay_down(folder: Path, template: Path = FLIGHTS) -> Path:
    """Write a template into a new or empty folder; returns it. Raises: FolderNotEmpty, StorageUnwritable."""
    with writing(folder):
        is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free:
        raise FolderNotEmpty(folder)
    write_template(folder, template)
    return folder


def write_template(folder: Path, template: Path = FLIGHTS) -> None:
    """Write the files of a template; last the settings, which make the folder a project.

    Raises: StorageUnwritable.
    """
    paths = [path for path in template.iterdir() if path.is_file() and path.suffix in {".py", ".toml", ".md"}]
    for path in sorted(paths, key=lambda each: (each.name == SETTINGS, each.name)):
        write_atomic(folder / path.name, path.read_bytes())
