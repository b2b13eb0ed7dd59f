"""The ring with its live state, as SVG: eight stations, what each holds, and which one alarms.

It is drawn twice, as a circle and for narrow screens as two columns; the style sheet shows one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from esteira.base.records import AlertState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.project.overview import Overview
    from esteira.web.words import Words

_CENTRE, _RADIUS, _BOX = (360, 285), (262, 212), (158, 62)
_COLUMNS, _FIRST_ROW, _ROW = (85, 275), 96, 104  # of the narrow drawing


@dataclass(frozen=True, slots=True)
class _Station:
    title: str
    fact: str
    page: str
    state: str = "quiet"  # quiet, live or alarm


def ring(seen: Overview, say: Words, language: str) -> Markup:
    """Draw the ring of an overview; every station links to its page."""
    stations = _stations(seen, say)
    count = len(stations)
    hub = say("no model serves yet") if seen.champion is None else f"{seen.project} v{seen.champion}"
    words = (say("The ring"), hub, f"{seen.now:%Y-%m-%d %H:%M} UTC")
    places = [_place(n, count) for n in range(count)]
    wide = _drawing("wide", "8 40 704 486", _CENTRE, words, _stops(stations, places, language, "wide"))
    places = [_place_narrow(n, count) for n in range(count)]
    stops = _stops(stations, places, language, "narrow")
    return Markup(wide + _drawing("narrow", "0 0 360 446", (180, 26), words, stops))


def _drawing(name: str, view: str, hub: tuple[int, int], words: tuple[str, str, str], inside: str) -> str:
    """One SVG: arrows and stations, and at the hub what serves and when that was."""
    label, serves, when = words
    return (
        f'<svg class="ring {name}" role="group" aria-label="{escape(label)}" viewBox="{view}">'
        f'<defs><marker id="tip-{name}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'{inside}<text class="hub" x="{hub[0]}" y="{hub[1] - 4}">{escape(serves)}</text>'
        f'<text class="hub small" x="{hub[0]}" y="{hub[1] + 20}">{when}</text></svg>'
    )


def _stops(
    stations: Sequence[_Station], places: Sequence[tuple[float, float]], language: str, name: str
) -> str:
    arrows = (_arrow(start, end, name) for start, end in zip(places, (*places[1:], places[0]), strict=True))
    boxes = (_box(each, place, language) for each, place in zip(stations, places, strict=True))
    return "".join((*arrows, *boxes))


def _stations(seen: Overview, say: Words) -> list[_Station]:
    own = [t for t in seen.tables if t.version.table not in {"predictions", "labels"}]
    rows = sum(t.version.rows for t in own)
    split = "–"
    if seen.routes is not None:
        split = " · ".join(f"v{arm.version} {arm.share:.0%}" for arm in seen.routes.arms if arm.share)
    run = seen.last_run
    performance = seen.performance
    measured = "–"
    if performance is not None and performance.value is not None:
        measured = f"{performance.subject} {performance.value:.3f}"
    firing = [alert for alert in seen.alerts if alert.state is AlertState.FIRING]
    alarm = "alarm" if firing else "quiet"
    worse = any(alert.monitor == "performance" for alert in firing)
    asked = f"{say.count(seen.predictions)} · {say.count(seen.labels)} {say('labels')}"
    rolling = f"v{seen.rollout.challenger_version}" if seen.rollout else say("none under way")
    rollout = f"rollouts/{seen.rollout.id}" if seen.rollout else "rollouts"
    return [
        _Station(say("tables"), f"{say.count(rows)} {say('rows')}", "data"),
        _Station(say("training"), f"{run.id[:15]}" if run else "–", "runs"),
        _Station(say("registry"), f"{say('champion')} v{seen.champion}" if seen.champion else "–", "models"),
        _Station(say("rollout"), rolling, rollout, "live" if seen.rollout else "quiet"),
        _Station(say("gateway"), split, "serving", "live" if seen.routes else "quiet"),
        _Station(say("predictions"), asked, "traffic"),
        _Station(say("performance"), measured, "performance", "alarm" if worse else "quiet"),
        _Station(
            say("alerts"), f"{len(firing)} {say('firing')}" if firing else say("all quiet"), "alerts", alarm
        ),
    ]


def _place(n: int, count: int) -> tuple[float, float]:
    angle = 2 * math.pi * n / count - math.pi / 2 - math.pi / count
    return _CENTRE[0] + _RADIUS[0] * math.cos(angle), _CENTRE[1] + _RADIUS[1] * math.sin(angle)


def _place_narrow(n: int, count: int) -> tuple[float, float]:
    """The first station at the top left, then down the right column and up the left one."""
    is_right = 0 < n <= count // 2
    row = n - 1 if is_right else (count - n) % count
    return _COLUMNS[is_right], _FIRST_ROW + _ROW * row


def _arrow(start: tuple[float, float], end: tuple[float, float], name: str) -> str:
    (x1, y1), (x2, y2) = _edge(start, end), _edge(end, start)
    return (
        f'<line class="way" x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" '
        f'marker-end="url(#tip-{name})"/>'
    )


def _edge(box: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Where the line from a box's middle to another point leaves the box, with a little air."""
    dx, dy = towards[0] - box[0], towards[1] - box[1]
    reach = min(
        (_BOX[0] / 2 + 6) / abs(dx) if dx else math.inf, (_BOX[1] / 2 + 6) / abs(dy) if dy else math.inf
    )
    return box[0] + dx * reach, box[1] + dy * reach


def _box(station: _Station, place: tuple[float, float], language: str) -> str:
    x, y = place[0] - _BOX[0] / 2, place[1] - _BOX[1] / 2
    return (
        f'<a href="/{station.page}?lang={language}" class="station {station.state}">'
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{_BOX[0]}" height="{_BOX[1]}" rx="10"/>'
        f'<text class="name" x="{place[0]:.0f}" y="{place[1] - 6:.0f}">{escape(station.title)}</text>'
        f'<text class="fact" x="{place[0]:.0f}" y="{place[1] + 15:.0f}">{escape(station.fact)}</text></a>'
    )
