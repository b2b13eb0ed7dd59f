"""What lies in the folder of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def data_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def log_names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "_delta_log").iterdir()}
