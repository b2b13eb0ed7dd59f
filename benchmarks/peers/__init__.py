"""Peers, each run by a Python environment of its own that `make bench-peers` installs into `.peers`."""

from __future__ import annotations

from pathlib import Path

HOME = Path(__file__).parents[2] / ".peers"


def python_of(peer: str) -> Path | None:
    """The Python of a peer; None when it is not installed."""
    found = HOME / peer / "bin" / "python"
    return found if found.exists() else None
