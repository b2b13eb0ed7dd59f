"""Project folders to start from."""

from __future__ import annotations

from pathlib import Path

from esteira.base.errors import BadInput
from esteira.base.files import write_atomic

FLIGHTS = Path(__file__).parent / "flights"


class FolderNotEmpty(BadInput):
    """A folder that holds something already: nothing is ever written over."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is not empty; choose another name, or empty it first")
        self.folder = folder


def lay_down(folder: Path, template: Path = FLIGHTS) -> Path:
    """Write a template into a new or empty folder; returns it. Raises: FolderNotEmpty, StorageUnwritable."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotEmpty(folder)
    for path in sorted(template.iterdir()):
        if path.is_file() and path.suffix in {".py", ".toml", ".md"}:
            write_atomic(folder / path.name, path.read_bytes())
    return folder
