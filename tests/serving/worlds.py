"""What the tests of serving share: tiny models in native bytes, and projects with routes to them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esteira.base.clock import SimulatedClock, parse_time
from esteira.base.records import PredictedRows
from esteira.base.settings import Settings, load_settings
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature, ViewRef
from esteira.serving.access.guard import Guard
from esteira.serving.features import FeatureReads
from esteira.serving.gateway import Gateway
from esteira.serving.http.site import Site
from esteira.serving.live.routes import LiveLimits, LiveRoutes
from esteira.serving.pushes import Pushes, PushTables
from esteira.serving.routes import Arm, Routes, RouteStore
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esteira.base.records import Prediction
    from esteira.features.stores.port import OnlineStore
    from esteira.monitoring.push_log import Push
    from esteira.serving.http.messages import Response

NOON = parse_time("2013-07-01T12:00:00Z")
PLAIN = Signature(
    (Column("miles"), Column("carrier", "category", ("AA", "UA")), Column("gust", optional=True)), "late"
)
WEATHER = ViewRef("weather", ("origin",), ("visib",))
VIEWED = Signature((Column("miles"), Column("weather__visib", view="weather")), "late", (WEATHER,))

_TREE = """Tree=0
num_leaves=2
num_cat=0
split_feature=0
split_gain=1
threshold=500
decision_type=10
left_child=-1
right_child=-2
leaf_value={low!r} {high!r}
leaf_weight=1 1
leaf_count=1 1
internal_value=0
internal_weight=2
internal_count=2
is_linear=0
shrinkage=1


"""
_MODEL = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx={last}
objective=binary sigmoid:1
feature_names={names}
feature_infos={infos}
tree_sizes={size}

{tree}end of trees
"""


def tree_score(low: float) -> float:
    """What `tree_model(low)` says of at most 500 miles."""
    return 1 / (1 + math.exp(-low))


def tree_text(low: float, columns: int) -> bytes:
    """LightGBM's text of one tree: up to 500 in the first column, and missing, it says `low`, above 3.0."""
    tree = _TREE.format(low=low, high=3.0)
    names = " ".join(f"c{at}" for at in range(columns))
    infos = " ".join(["[0:1000]"] * columns)
    return _MODEL.format(last=columns - 1, names=names, infos=infos, size=len(tree), tree=tree).encode()


def tree_model(low: float, signature: Signature = PLAIN) -> Model:
    """A model whose score tells it from others."""
    return Model("lightgbm", signature, {"model.txt": tree_text(low, len(signature.columns))})


@dataclass
class Kept:
    """A sink that keeps what it is given."""

    records: list[Any] = field(default_factory=list)
    is_closed: bool = False

    def write(self, record: Any) -> None:
        self.records.append(record)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class KeptPredictions(Kept):
    """The same for predictions, each row by itself."""

    def write(self, record: Prediction | PredictedRows) -> None:
        rows = record.rows() if isinstance(record, PredictedRows) else [record]
        self.records += [each._replace(vector=tuple(each.vector)) for each in rows]


@dataclass
class KeptPushes(Kept):
    """The same for pushes."""

    def keep(self, table: str, push: Push) -> None:
        self.records.append((table, push))


class Nobody:
    """No key is known."""

    callers: Mapping[bytes, Any] = {}


def open_guard() -> Guard:
    """A guard that lets everybody do everything but administer."""
    return Guard(Nobody(), "open")


class World:
    """A project folder, and a gateway on it in this process whose routes are taken up when told."""

    def __init__(self, root: Path, limits: LiveLimits | None = None) -> None:
        self.settings = project(root)
        self.artifacts = ArtifactStore(self.settings.store("artifacts"))
        self.routes = RouteStore(self.settings.store("state"))
        self.clock = SimulatedClock(start=NOON)
        self.metrics = Metrics()
        self.online: OnlineStore = open_store("memory:")
        self.predictions, self.labels, self.pushed = KeptPredictions(), Kept(), KeptPushes()
        self.failures = Kept()
        self.push_tables = PushTables(self.settings.store("state"))
        self.live = LiveRoutes(
            self.routes,
            self.artifacts.folder,
            lambda views: OnlineReader(self.online, views),
            self.metrics,
            limits,
        )
        self.gateway = Gateway(
            self.live,
            self.predictions,
            self.labels,
            self.clock,
            self.metrics,
            features=FeatureReads(lambda: self.online, self.clock),
            pushes=Pushes(self.push_tables, self.pushed),
            default_model="late",
            failures=self.failures,
        )
        self.site = Site(self.gateway, open_guard(), max_body_bytes=self.settings.gateway.max_body_bytes)

    def deploy(self, *models: Model, name: str = "late", shares: tuple[float, ...] = (1.0,)) -> Routes:
        """Route to models: the first is the champion; versions count from 1."""
        set_routes = self.routes.set(deployment(self.artifacts, *models, name=name, shares=shares))
        self.live.refresh()
        return set_routes

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        """POST to the site."""
        return self.site.handle("POST", path, headers or {}, body)

    def get(self, path: str) -> Response:
        """GET from the site."""
        path, _, query = path.partition("?")
        return self.site.handle("GET", path, {}, b"", query=query)


def project(root: Path, toml: str = "") -> Settings:
    """A project folder with nothing in it."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "esteira.toml").write_text(toml or '[project]\nname = "late"\n')
    return load_settings(root, {})


def deployment(
    artifacts: ArtifactStore, *models: Model, name: str = "late", shares: tuple[float, ...] = (1.0,)
) -> Routes:
    """Routes to models that are put into the store."""
    names = ("champion", *(f"challenger{n}" if n else "challenger" for n in range(len(models) - 1)))
    arms = [
        Arm(arm, version, artifacts.put(model).digest, share)
        for version, (arm, model, share) in enumerate(zip(names, models, shares, strict=True), start=1)
    ]
    return Routes(name, tuple(arms), salt="s")
