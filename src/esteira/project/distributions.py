"""How the features of a view are distributed, over the newest version of its source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - a field type, read at run time by msgspec
from typing import TYPE_CHECKING

import msgspec
import pyarrow.compute as pc

from esteira.base.clock import from_micros
from esteira.base.digest import digest_json
from esteira.base.files import write_atomic
from esteira.features.statistics import FeatureStatistics, describe_feature
from esteira.features.times import nullable_micros
from esteira.project.catalog import newest
from esteira.project.running import bind

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from esteira.base.records import TableVersion
    from esteira.features.views import FeatureView
    from esteira.project.station import Station

FORMAT = 1  # of what is kept


@dataclass(frozen=True, slots=True)
class ViewStatistics:
    """The rows of a view over one version of its source."""

    source: int  # version
    source_rows: int
    rows: int  # of the view: of its source, or of its windows
    newest_event: datetime | None
    newest_known: datetime | None  # by the created time, if the view has one
    features: tuple[FeatureStatistics, ...]


def statistics(station: Station, view: FeatureView) -> ViewStatistics | None:
    """The distribution of each feature over the newest version of the source; None before its first rows.

    Computed in one pass and kept until the source or the definition changes.
    """
    source = newest(station, view.source)
    if source is None:
        return None
    path = station.settings.home / "statistics" / f"{digest_json([FORMAT, view.definition()])[:32]}.json"
    kept = _kept(path)
    if kept is None or kept.source != source.version:
        needed = None if view.window else [*dict.fromkeys((*view.features, *_times(view)))]
        rows = station.tables.read(view.source, version=source.version, columns=needed)
        kept = _computed(view, rows, source)
        write_atomic(path, msgspec.json.encode(kept))
    return kept


def _kept(path: Path) -> ViewStatistics | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ViewStatistics)
    except (FileNotFoundError, msgspec.MsgspecError):  # what is not there, or of other making, is made anew
        return None


def _times(view: FeatureView) -> list[str]:
    happened = view.event_time if view.window is None else view.window.time
    return [happened, *([view.known_by] if view.known_by else [])]


def _computed(view: FeatureView, rows: pa.Table, source: TableVersion) -> ViewStatistics:
    bound = bind(view, rows).rows
    times = [_last(rows, name, view) for name in _times(view)]
    return ViewStatistics(
        source=source.version,
        source_rows=rows.num_rows,
        rows=bound.num_rows,
        newest_event=times[0],
        newest_known=times[1] if view.known_by else None,
        features=tuple(describe_feature(name, bound[name]) for name in view.features),
    )


def _last(rows: pa.Table, column: str, view: FeatureView) -> datetime | None:
    found = pc.max(nullable_micros(rows, column, f"view {view.name!r}")).as_py()
    return None if found is None else from_micros(found)
