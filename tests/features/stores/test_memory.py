"""The store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contracts.online_store import OnlineStoreContract

from esteira.features.stores.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path


class TestMemoryStore(OnlineStoreContract):
    def open(self, folder: Path, *, readonly: bool = False) -> MemoryStore:
        return MemoryStore(readonly=readonly)
