"""Models brought into memory when they are asked for: one load for however many ask."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from esteira.serving.live.availability import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.serving.live.assembly import Assembly
    from esteira.serving.live.failures import Failures
    from esteira.serving.live.table import LiveModel, LiveTable
    from esteira.serving.routes import Routes


class _Arrival:
    """A model on its way, and whoever waits for it."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.model: LiveModel | None = None
        self.failure: Exception | None = None


class Bringing:
    """Loads a model within the limit of memory, after others have gone where there is no room."""

    def __init__(
        self,
        table: LiveTable,
        assembly: Assembly,
        failures: Failures,
        routes_of: Callable[[str], Routes],
        admit: Callable[[LiveModel], bool],
    ) -> None:
        """`routes_of` gives what should serve now; `admit` puts it into the table unless that changed."""
        self._table, self._assembly, self._failures = table, assembly, failures
        self._routes_of, self._admit = routes_of, admit
        self._lock = threading.Lock()
        self._arrivals: dict[str, _Arrival] = {}

    def bring(self, name: str) -> LiveModel:
        """The model, in memory. Raises: ModelUnavailable, and what `routes_of` raises."""
        with self._lock:
            found = self._table.models.get(name)
            if found is not None:
                return found
            arrival, is_first = self._arrivals.get(name), name not in self._arrivals
            if arrival is None:
                arrival = self._arrivals[name] = _Arrival()
        if is_first:
            self._load(name, arrival)
        arrival.ended.wait()
        if arrival.model is not None:
            return arrival.model
        if isinstance(arrival.failure, ModelUnavailable):  # each who asks raises its own
            raise ModelUnavailable(name, arrival.failure.reason) from arrival.failure
        raise arrival.failure or ModelUnavailable(name, "it did not come")

    def _load(self, name: str, arrival: _Arrival) -> None:
        try:
            arrival.model = self._loaded(name)
        except Exception as failure:  # noqa: BLE001 - all who wait must hear of it
            arrival.failure = failure
        finally:
            with self._lock:
                del self._arrivals[name]
            arrival.ended.set()

    def _loaded(self, name: str) -> LiveModel:
        while True:
            routes = self._routes_of(name)
            try:
                self._table.make_room(name, self._assembly.size(routes))
                model = self._assembly.wait(routes, None)
                self._table.check(model.size)
            except Exception as failure:
                kept = self._failures.report(name, routes.revision, failure)
                raise ModelUnavailable(name, kept.reason) from failure
            if self._admit(model):
                return model
