"""The feature views of a model, joined to a table as they were known at the time of each row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput, UnknownName
from esteira.features.point_in_time import point_in_time_join
from esteira.features.times import nullable_micros
from esteira.project.running import TableInput, ViewInput, bind, pinned_versions
from esteira.registry.columns import WrongInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.features.views import BoundView, FeatureView
    from esteira.project.station import Station
    from esteira.registry.signature import Signature, ViewRef


class ViewsNeedATime(BadInput):
    """A model with feature views, and rows of which nobody has said when they were asked."""

    def __init__(self, views: Sequence[str]) -> None:
        super().__init__(
            f"the model reads {', '.join(views)} as known at the time of each row; "
            "say which column holds it, with --at COLUMN"
        )
        self.views = views


@dataclass(frozen=True)
class JoinedViews:
    """Adds the columns of views to rows, as training did; without views it adds nothing."""

    views: tuple[BoundView, ...]
    at: str

    def join(self, rows: pa.Table) -> tuple[pa.Table, dict[int, str]]:
        """The rows with the features, and why some of them have none: they have no time.

        Raises: as `point_in_time_join`, of whole columns.
        """
        if not self.views:
            return rows, {}
        spine, wrong = rows, {}
        if nullable_micros(rows, self.at, "the source").null_count:
            timeless = pc.indices_nonzero(rows[self.at].is_null()).to_pylist()
            wrong = dict.fromkeys(timeless, str(WrongInput(self.at, "a time", "nothing")))
            filled = pc.fill_null(rows[self.at], pa.scalar(0, pa.int64()).cast(rows[self.at].type))
            spine = rows.set_column(rows.column_names.index(self.at), self.at, filled)
        return point_in_time_join(spine, self.views, at=self.at), wrong


def pin_views(station: Station, signature: Signature, pinned: Sequence[str] | None) -> tuple[ViewInput, ...]:
    """The project's views that a model reads, over the newest versions of their sources or those `pinned`.

    A view holds as long as it did for the model. Raises: UnknownName, NotFound, BadInput (a view that changed
    since the model was trained, or since what is pinned).
    """
    known = {view.qualified: view for view in station.project.views}
    versions = pinned_versions({str(at): each for at, each in enumerate(pinned or ())})
    found = []
    for ref in signature.views:
        if ref.name not in known:
            raise UnknownName("feature view of the project", ref.name, known)
        view = _as_asked(known[ref.name], ref)
        number = versions.get(view.source)
        source = station.tables.version(view.source, number)
        found.append(ViewInput(view, TableInput(station.tables, view.source, source.version)))
    if pinned is not None and [each.identity for each in found] != [*pinned]:
        raise BadInput(
            "a feature view changed since the scoring began, and some rows are scored already; "
            "put its definition back, or score into another target"
        )
    return tuple(found)


def joined(views: Sequence[ViewInput], at: str) -> JoinedViews:
    """The views with their rows in memory: of each source the columns that the view needs.

    Raises: ViewsNeedATime, CorruptArtifact.
    """
    if views and not at:
        raise ViewsNeedATime([each.view.qualified for each in views])
    bound = []
    for each in views:
        source = each.source
        rows = source.tables.read(source.name, version=source.version, columns=_columns(each.view))
        bound.append(bind(each.view, rows))
    return JoinedViews(tuple(bound), at)


def _as_asked(view: FeatureView, ref: ViewRef) -> FeatureView:
    """The view with the features and the time to live that the model knows. Raises: BadInput."""
    if view.keys != ref.keys:
        raise BadInput(
            f"feature view {ref.name!r} has the keys {view.keys} by now, and the model asks by {ref.keys}; "
            "give the changed view a new version, and keep the old one beside it"
        )
    ttl = None if ref.ttl_us is None else timedelta(microseconds=ref.ttl_us)
    return replace(view, features=ref.features, ttl=ttl)


def _columns(view: FeatureView) -> list[str]:
    """What of its source a view reads."""
    if view.window is None:
        needed = [*view.keys, *view.features, view.event_time]
    else:
        needed = [*view.keys, view.window.time, *view.window.columns]
    if view.known_by is not None:
        needed.append(view.known_by)
    return [*dict.fromkeys(needed)]
