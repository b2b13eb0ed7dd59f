"""Every version and whether it can be asked, in the words of the model repository extension.

Source: Open Inference Protocol, model repository extension, as Triton and MLServer answer its index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from esteira.serving.live.failures import Failure
    from esteira.serving.live.following import Following
    from esteira.serving.live.table import LiveModel

READY, LOADING, UNLOADING, UNAVAILABLE = "READY", "LOADING", "UNLOADING", "UNAVAILABLE"


class State(NamedTuple):
    """One version of a model."""

    name: str
    version: str
    state: str
    reason: str = ""


def states(
    following: Following,
    models: Mapping[str, LiveModel],
    failures: Mapping[str, Failure],
    loading: Collection[str],
    *,
    is_on_demand: bool,
) -> list[State]:
    """The versions of the routes in force, by name and version. Raises: StorageUnwritable."""
    found = []
    for name, versions in sorted(following.store.versions().items()):
        is_unloaded, live = name in following.unloaded, models.get(name)
        for version in sorted({*versions, *(live.by_version if live else ())}, key=int):
            is_held = live is not None and version in live.by_version
            if is_unloaded:
                state, reason = (UNLOADING if is_held else UNAVAILABLE), "it was unloaded"
            elif is_held:
                state, reason = READY, ""
            elif name in failures:
                state, reason = UNAVAILABLE, failures[name].reason
            elif name in loading or not is_on_demand:
                state, reason = LOADING, ""
            else:
                state, reason = UNAVAILABLE, "loaded when first asked"
            found.append(State(name, version, state, reason))
    return found
