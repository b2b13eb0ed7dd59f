"""The serving page: is the gateway up, how fast does it answer, what serves, who may ask, and how."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import Markup

from esteira.base.errors import NotFound
from esteira.serving.live.agreement import votes_in
from esteira.serving.telemetry.snapshot import ModelNumbers
from esteira.web.cells import brief, rate, seconds, size, tag
from esteira.web.gateway_panels import gateway_facts, gateway_sections
from esteira.web.gateways import gateways
from esteira.web.model_cards import (
    ModelCard,
    Tile,
    View,
    a_second,
    asked_lately,
    model_card,
    model_link,
    split_of,
)
from esteira.web.pages import Section
from esteira.web.pulse import EVERY_S, SHOWN_S, Recent
from esteira.web.rates import RateLine, rate_chart
from esteira.web.served import Standings, served_models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.project.station import Station
    from esteira.web.gateways import Gateways, RunningGateway
    from esteira.web.pulse import Pulses, RatePoint
    from esteira.web.served import ServedModel
    from esteira.web.words import Words

CARDS = 2  # models that are told of in full; each has its own page besides
_LISTED = 100  # models in the table
_DRAWN = 4  # models with a line of their own
_GAP_S = 5 * EVERY_S  # a look that came later than this after the one before breaks the line


@dataclass(frozen=True, slots=True)
class ServingPage:
    """What the template shows; texts are in the reader's language."""

    state: Markup
    gateway: RunningGateway | None
    facts: Sequence[tuple[str, object]]
    silent: Sequence[int]  # ports whose gateway left its folder
    tiles: Sequence[Tile]
    rates: Markup
    listed: Section
    unlisted: int
    cards: Sequence[ModelCard]
    sections: Sequence[Section]


def serving_page(station: Station, pulses: Pulses, say: Words, port: int | None = None) -> ServingPage:
    """The page of one gateway: the one on `port` if it runs, else the one of the settings, else any."""
    found, view, points = _view(station, pulses, say, port)
    lately, gateway = asked_lately(view.recent), view.gateway
    busiest = sorted(view.models, key=lambda each: (-_asked(lately, each.name).requests, each.name))
    drawn = [each.name for each in busiest[:_DRAWN]]
    busiest.sort(key=lambda each: not each.worst.trouble)  # what fails stands first
    return ServingPage(
        state=tag(_state(gateway), say),
        gateway=gateway,
        facts=gateway_facts(view, gateway, found) if gateway is not None else (),
        silent=found.silent,
        tiles=_tiles(view.recent, say) if gateway is not None else (),
        rates=_rates(points, drawn, say, is_split=len(view.models) > 1),
        listed=_listed(view, busiest[:_LISTED]),
        unlisted=max(len(busiest) - _LISTED, 0),
        cards=[model_card(view, each) for each in busiest[:CARDS]],
        sections=gateway_sections(view),
    )


def model_page(station: Station, pulses: Pulses, say: Words, name: str, port: int | None = None) -> ModelCard:
    """The page of one model. Raises: NotFound."""
    _, view, points = _view(station, pulses, say, port)
    for each in view.models:
        if each.name == name:
            return replace(model_card(view, each), rates=_rates(points, [name], say, is_split=True))
    raise NotFound("model", name[:80], "no routes name it")


def _view(
    station: Station, pulses: Pulses, say: Words, port: int | None
) -> tuple[Gateways, View, Sequence[RatePoint]]:
    found = gateways(station.settings)
    gateway = found.chosen(port, station.settings.gateway.port)
    is_on_demand = station.settings.gateway.memory_mb > 0
    if gateway is None:
        models = served_models(station.routes, Standings(None, (), is_on_demand=is_on_demand))
        return found, View(station, say, None, Recent(), models), ()
    pulse = pulses.of(gateway)
    recent = pulse.recent()
    standings = Standings(recent.whole, votes_in(gateway.folder), is_on_demand=is_on_demand)
    models = served_models(station.routes, standings)
    return found, View(station, say, gateway, recent, models), pulse.points()


def _state(gateway: RunningGateway | None) -> str:
    if gateway is None:
        return "not running"
    return "draining" if gateway.is_draining else "running"


def _asked(lately: Mapping[str, ModelNumbers], name: str) -> ModelNumbers:
    return lately.get(name) or ModelNumbers(name)


def _tiles(recent: Recent, say: Words) -> list[Tile]:
    """What all models did in the last minute."""
    models = [*asked_lately(recent).values()]
    durations = [sum(column) for column in zip(*(each.durations for each in models), strict=True)]
    every = ModelNumbers("", durations=durations) if durations else ModelNumbers("")
    failed = a_second(sum(each.errors for each in models), recent)
    refused = a_second(sum(each.refused for each in models), recent)
    memory = recent.whole.get("esteira_worker_memory_bytes", {}).values()
    return [
        Tile(say("requests a second"), rate(a_second(sum(each.requests for each in models), recent), say)),
        Tile("p50", seconds(every.latency(0.5))),
        Tile("p99", seconds(every.latency(0.99))),
        Tile(say("errors a second"), rate(failed, say), bool(failed)),
        Tile(say("refused a second"), rate(refused, say), bool(refused)),
        Tile(say("memory of all workers"), size(sum(each[0] for each in memory))),
    ]


def _listed(view: View, models: Sequence[ServedModel]) -> Section:
    say, recent = view.say, view.recent
    lately = asked_lately(recent)
    rows = []
    for each in models:
        own, trouble = _asked(lately, each.name), brief(say(each.worst.trouble))
        state = Markup("<span>{} {}</span>").format(tag(each.worst.word, say), trouble)
        rows.append(
            (
                model_link(each.name, say),
                state,
                split_of(each.serving, say),
                rate(a_second(own.requests, recent), say),
                *(seconds(own.latency(share)) for share in (0.5, 0.95, 0.99)),
                rate(a_second(own.refused, recent), say),
                say.count(round(own.queued_rows)),
                size(own.memory_bytes or None),
            )
        )
    columns = ("model", "state", "who answers", "a second", "p50", "p95", "p99", "refused", "rows that wait")
    return Section("Models", columns=(*columns, "memory"), rows=rows, numbers=(3, 4, 5, 6, 7, 8, 9))


def _rates(points: Sequence[RatePoint], names: Sequence[str], say: Words, *, is_split: bool) -> Markup:
    """The rate of all requests, or of each of some models, and of errors, over the last minutes."""
    now = time.monotonic()

    def line(name: str, css: str, values: Sequence[float]) -> RateLine:
        drawn: list[tuple[float, float | None]] = []
        for point, value in zip(points, values, strict=True):
            if point.seconds > _GAP_S:
                drawn.append((now - point.at_s, None))
            drawn.append((max(now - point.at_s, 0.0), value))
        return RateLine(name, css, drawn)

    lines = [line(say("all requests"), "v0", [each.total for each in points])]
    if is_split:
        lines = [
            line(name, f"v{at}", [each.by_model.get(name, 0.0) for each in points])
            for at, name in enumerate(names)
        ]
        lines = [each for each in lines if any(value for _, value in each.values)] or lines[:1]
    if any(each.failed for each in points):
        lines.append(line(say("errors"), "failed", [each.failed for each in points]))
    return rate_chart(
        lines,
        label=say("Requests a second, last five minutes"),
        span_s=SHOWN_S,
        now=say("now"),
        spell=lambda value: rate(value, say),
    )
