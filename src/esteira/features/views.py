"""What a feature view is: whose features, known since when, and for how long they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, UnknownName
from esteira.features.windows.sliding import EVENT_TIME
from esteira.registry.signature import ViewRef

if TYPE_CHECKING:
    import pyarrow as pa

    from esteira.features.windows.sliding import Window

_NAME = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")
_VERSIONED = re.compile(r".*_v\d+")
_MICROSECOND = timedelta(microseconds=1)
_NOTHING = timedelta(0)


class WrongView(BadInput):
    """A feature view that cannot mean anything; it says which of its parts is wrong."""

    def __init__(self, view: str, what: str) -> None:
        super().__init__(f"feature view {view!r}: {what}")
        self.view = view


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Features of an entity over time, as rows of a source table.

    `ttl` is how long a row holds after its event time, that moment included: `None` for ever, zero for its
    own moment only. With a `created_time`, a row counts only from the moment it was known. `version` goes
    up with every change of meaning, so that versions live side by side and a model reads its own. With a
    `window`, the source holds events and the view's rows are `window_rows` of them.

    Raises: WrongView.
    >>> view = FeatureView("weather", ("origin",), ("visib",), "weather", ttl=timedelta(hours=3))
    >>> view.columns, view.ref().ttl_us
    (('weather__visib',), 10800000000)
    """

    name: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    source: str
    event_time: str = EVENT_TIME
    created_time: str | None = None
    ttl: timedelta | None = None
    version: int = 1
    window: Window | None = None
    description: str = ""  # for people: it decides nothing

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or _VERSIONED.fullmatch(self.name):
            rule = "letters, digits and single underscores, e.g. weather_hourly; versions go in `version`"
            raise WrongView(self.name, f"a name is made of {rule}")
        for kind, names in (("keys", self.keys), ("features", self.features)):
            _check_names(self.name, kind, names)
        if not self.features:
            raise WrongView(self.name, "it has no features; name at least one column")
        if self.ttl is not None and self.ttl < _NOTHING:
            raise WrongView(self.name, f"ttl {self.ttl} is negative; give None for rows that hold for ever")
        if self.version < 1:
            raise WrongView(self.name, f"versions count from 1, found {self.version}")
        if self.window is not None:
            self._check_window(self.window)

    def _check_window(self, window: Window) -> None:
        if window.keys != self.keys:
            raise WrongView(self.name, f"its keys {self.keys} are not those of its window, {window.keys}")
        for feature in self.features:
            if feature not in window.measures:
                raise WrongView(
                    self.name, str(UnknownName("measure of its window", feature, window.measures))
                )
        if self.event_time != EVENT_TIME or self.created_time is not None:
            what = f"rows of a window have the event time {EVENT_TIME!r} and no created time"
            raise WrongView(self.name, f"{what}; leave out event_time and created_time")

    @property
    def qualified(self) -> str:
        """The name that columns and stores use: the view's own, with its version from the second on.

        >>> FeatureView("weather", ("origin",), ("visib",), "weather", version=2).qualified
        'weather_v2'
        """
        return self.name if self.version == 1 else f"{self.name}_v{self.version}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its features in a training set and in a signature: `view__feature`."""
        return tuple(f"{self.qualified}__{feature}" for feature in self.features)

    @property
    def known_by(self) -> str | None:
        """The column of its source that says when a row, or an event of its window, became known."""
        return self.created_time if self.window is None else self.window.created

    @property
    def ttl_us(self) -> int | None:
        """`ttl` in microseconds."""
        return None if self.ttl is None else self.ttl // _MICROSECOND

    def definition(self) -> dict[str, object]:
        """All that decides its features, as JSON values: what a cache key or a manifest digests."""
        return {
            "name": self.name,
            "version": self.version,
            "keys": [*self.keys],
            "features": [*self.features],
            "source": self.source,
            "event_time": self.event_time,
            "created_time": self.created_time,
            "ttl_us": self.ttl_us,
            "window": None if self.window is None else self.window.definition(),
        }

    def ref(self) -> ViewRef:
        """The view as a signature keeps it and a gateway reads it."""
        return ViewRef(self.qualified, self.keys, self.features, self.ttl_us)


def _check_names(view: str, kind: str, names: object) -> None:
    if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
        raise WrongView(view, f"{kind} must be a tuple of names such as ('origin',), found {names!r}")
    if len(set(names)) < len(names):
        raise WrongView(view, f"{kind} must differ from each other, found {', '.join(names)}")


@dataclass(frozen=True, slots=True)
class BoundView:
    """A view and the rows it stands for: its source at one table version, or the windows over it."""

    view: FeatureView
    rows: pa.Table
