"""A project's model under load: its own gateway on a free port, asked what was asked of it before.

What is measured leaves no trace: the gateway of the measurement logs its predictions to a scratch folder, as
much as any gateway does, and sends nothing to other services. A gateway that runs elsewhere, by its URL, logs
what it is asked where it always does.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.base.settings import FILE, load_settings
from esteira.pipelines.artifacts import ArtifactStore
from esteira.project.asked_rows import asked_rows
from esteira.project.station import Station
from esteira.registry.bundle import read_signature
from esteira.serving.access.guard import KEY_HEADER, is_loopback
from esteira.serving.load.points import Point, Target, measure, plan_of
from esteira.serving.load.rows import body_of, drawn_rows, fields_of, path_of_model
from esteira.serving.load.wire import split_url
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from esteira.registry.signature import Signature
    from esteira.serving.load.rows import Field, Row

_BODIES, _ROWS = 64, 4096  # different requests, and rows in them, at most


@dataclass(frozen=True, slots=True)
class LoadWanted:
    """What to measure: which model, under which load."""

    folder: Path
    model: str = ""  # the project's when empty
    url: str = ""  # of a gateway that runs; empty: one of our own
    key: str = ""  # an API key
    rows: int = 1  # of each request
    concurrency: tuple[int, ...] = (1, 16, 64)
    seconds: float = 5.0  # of each concurrency
    rate: float | None = None  # requests a second, whatever is answered
    protocol: str = "oip"
    is_remote_allowed: bool = False


@dataclass(frozen=True, slots=True)
class LoadMeasured:
    """What came of it."""

    model: str
    protocol: str
    rows: int
    recorded: int  # rows of the prediction log that were asked again; 0: all were drawn
    has_key: bool  # whether the requests carried an API key
    points: tuple[Point, ...]

    @property
    def failed(self) -> int:
        """Requests that were neither answered nor refused for want of room."""
        return sum(point.report.failed for point in self.points)

    @property
    def best(self) -> Point:
        """The load with the most answers a second."""
        return max(self.points, key=lambda point: point.report.throughput)

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "model": self.model,
            "protocol": self.protocol,
            "rows": self.rows,
            "recorded_rows": self.recorded,
            "has_key": self.has_key,
            "failed": self.failed,
            "points": [point.to_plain() for point in self.points],
        }


def measure_serving(
    wanted: LoadWanted, on_progress: Callable[[str, float], None] = lambda _what, _share: None
) -> LoadMeasured:
    """Load a model's gateway, one concurrency after the other.

    Raises: NotFound, BadInput (a load that cannot be, a host that is not this machine), ServiceUnreachable,
    LoadFailed.
    """
    refuse_stranger(wanted)
    model = wanted.model or load_settings(wanted.folder).project.name
    on_progress("starting the gateway", 0.0)
    with _target(wanted, model) as target:
        fields, rows, recorded = _rows(wanted, target, model)
        size = max(1, min(_BODIES, len(rows) // wanted.rows))
        bodies = [
            body_of(rows[at * wanted.rows : (at + 1) * wanted.rows], fields, wanted.protocol)
            for at in range(size)
        ]
        path = path_of_model(model, wanted.protocol)
        target.try_out(path, bodies[0])
        plan = replace(plan_of(target, path, bodies, wanted.seconds), rate=wanted.rate)
        points = []
        for place, connections in enumerate(wanted.concurrency):
            on_progress(f"{connections} connections", place / len(wanted.concurrency))
            points.append(measure(target, replace(plan, connections=connections)))
    recorded = min(recorded, size * wanted.rows)
    return LoadMeasured(model, wanted.protocol, wanted.rows, recorded, bool(wanted.key), tuple(points))


def refuse_stranger(wanted: LoadWanted) -> None:
    """Load is for one's own machines. Raises: BadInput."""
    if wanted.rows < 1 or wanted.rows > _ROWS:
        raise BadInput(f"a request has 1 to {_ROWS} rows, found {wanted.rows}")
    if not wanted.url:
        return
    host, _, path = split_url(wanted.url)
    if path != "/":
        raise BadInput(
            f"give the gateway's URL without a path, such as http://127.0.0.1:8080, found {wanted.url}"
        )
    if not is_loopback(host) and not wanted.is_remote_allowed:
        raise BadInput(
            f"{host} is not this machine, and load may disturb it; if it is yours, add --yes-remote"
        )


@contextmanager
def _target(wanted: LoadWanted, model: str) -> Iterator[Target]:
    headers = {KEY_HEADER: wanted.key} if wanted.key else {}
    if wanted.url:
        yield Target(wanted.url.rstrip("/"), headers)
        return
    _signature(wanted.folder, model)
    with tempfile.TemporaryDirectory(prefix="esteira-bench-") as scratch:
        environment = {**os.environ, **aside(Path(scratch), checks_keys=bool(wanted.key))}
        with GatewayProcess(wanted.folder, port=0, environment=environment) as gateway:
            yield Target(gateway.url, headers, gateway.pid)


def aside(scratch: Path, *, checks_keys: bool) -> Mapping[str, str]:
    """Settings of a gateway that only this machine sees, and that leaves the project's records alone."""
    return {
        "ESTEIRA_STORES_PREDICTIONS": f"file:{scratch}",
        "ESTEIRA_GATEWAY_HOST": "127.0.0.1",
        "ESTEIRA_GATEWAY_ACCESS": "keys" if checks_keys else "open",
        "ESTEIRA_GATEWAY_TLS_CERT": "",
        "ESTEIRA_GATEWAY_TLS_KEY": "",
        "ESTEIRA_GATEWAY_GRPC_PORT": "0",
        "ESTEIRA_GATEWAY_DRAIN_MS": "0",
        "ESTEIRA_TELEMETRY_OTLP": "",
        "ESTEIRA_TELEMETRY_DOGSTATSD": "",
    }


def _signature(folder: Path, model: str) -> tuple[int, Signature]:
    """The champion's version, and what it asks for. Raises: NotFound, CorruptArtifact."""
    settings = load_settings(folder)
    store = RouteStore(settings.store("state"))
    routes = store.get(model)
    if routes is None:
        known = ", ".join(sorted(store.revisions()))
        mend = f"deployed: {known}" if known else "deploy a version with: esteira deploy VERSION"
        raise NotFound("model", model, mend)
    champion = routes.arms[0]
    bundle = ArtifactStore(settings.store("artifacts")).folder(champion.digest)
    return champion.version, read_signature(bundle)


def _rows(wanted: LoadWanted, target: Target, model: str) -> tuple[tuple[Field, ...], list[Row], int]:
    """The fields of a request, rows of them, and how many of the rows were recorded."""
    said = target.get(f"/v2/models/{model}")
    if said is None:
        raise BadInput("the gateway wants a key with the role predict; give its file with --key-file")
    fields = fields_of(msgspec.json.decode(said, type=dict[str, Any]))
    count = min(_ROWS, max(_BODIES, wanted.rows * _BODIES))
    count = max(wanted.rows, count - count % wanted.rows)
    if (wanted.folder / FILE).is_file():
        with suppress(EsteiraError):  # a gateway of another project, or one without code: then rows are drawn
            version, signature = _signature(wanted.folder, model)
            return asked_rows(Station(wanted.folder), version, signature, fields, count)
    return fields, drawn_rows(fields, count), 0
