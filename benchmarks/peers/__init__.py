"""Peers, each run by a Python environment of its own that `make bench-peers` installs into `.peers`."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

HOME = Path(__file__).parents[2] / ".peers"


def python_of(peer: str) -> Path | None:
    """The Python of a peer; None when it is not installed."""
    found = HOME / peer / "bin" / "python"
    return found if found.exists() else None


def versions_of(*peers: str) -> dict[str, str]:
    """The version of each peer in its own environment; "absent" for one that is not there."""
    found = {}
    for peer in sorted(peers):
        places = [str(place) for place in (HOME / peer).glob("lib/python*/site-packages")]
        known = metadata.distributions(name=peer, path=places) if places else ()
        found[peer] = next((each.version for each in known), "absent")
    return found
