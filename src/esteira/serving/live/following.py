"""What the store says should serve, followed: read whole once, afterwards only what changed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from esteira.base.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Collection

    from esteira.serving.routes import Routes, RouteStore


class Following:
    """The revision in force of every model, and which are unloaded. One thread at a time asks for `news`."""

    def __init__(self, store: RouteStore) -> None:
        self.store = store
        self.revisions: dict[str, int] = {}
        self.unloaded: Collection[str] = frozenset()
        self._change = -1
        self._seen = (0, -1)

    def news(self, *, is_told: bool = False) -> list[str]:
        """The models that changed since the last time; told that there is some, it looks more closely.

        A change by this very thread goes unseen unless told of. Raises: StorageUnwritable.
        """
        seen = threading.get_ident(), self.store.changes()  # a count of this thread's connection alone
        if seen == self._seen and not is_told:
            return []
        if self._change < 0:
            change = self.store.newest_change()  # before what it counts: a change between is read twice
            self.revisions.update(self.store.revisions())
            names = list(self.revisions)
        else:
            change, names = self.store.changed_since(self._change)
            for name in names:
                self.revisions[name] = self.store.revision(name)
        if names:
            self.unloaded = self.store.unloaded()
        self._change, self._seen = change, seen
        return names

    def routes(self, name: str, revision: int) -> Routes:
        """One revision of a model's routes; 0 is the one in force. Raises: NotFound, StorageUnwritable."""
        found = self.store.get(name, revision or None)
        if found is None:
            raise NotFound("model", name[:80], "deploy one of its versions")
        return found
