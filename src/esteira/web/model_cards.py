"""What the serving page says of one model: its versions, latencies, answers, changes, and how to ask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from esteira.base.errors import EsteiraError
from esteira.serving.telemetry.families import ROWS, SECONDS
from esteira.serving.telemetry.histograms import quantile
from esteira.serving.telemetry.snapshot import ModelNumbers, snapshot_of
from esteira.web.asking import asking, default_of, described
from esteira.web.cells import code, moment, rate, seconds, share, size, tag
from esteira.web.changes import LOAD, changes
from esteira.web.charts import share_bar
from esteira.web.latencies import Spread, latency_chart
from esteira.web.pages import Section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.project.station import Station
    from esteira.serving.routes import Arm
    from esteira.serving.telemetry.readings import Numbers
    from esteira.web.asking import Asking
    from esteira.web.changes import RouteChange
    from esteira.web.gateways import RunningGateway
    from esteira.web.pulse import Recent
    from esteira.web.served import ServedModel, ServedVersion
    from esteira.web.words import Words

_OF_VERSION = (
    *("version", "arm", "share", "state", "a second", "p50 in the model", "p99 in the model"),
    *("CPU", "memory", "revision", "digest"),
)
_PREDICT = "esteira_predict_duration_seconds"


@dataclass(frozen=True, slots=True)
class Tile:
    """One number to see from afar, and what it is."""

    name: str
    value: str
    alarms: bool = False


@dataclass(frozen=True, slots=True)
class ModelCard:
    """All that is told of one model; texts are in the reader's language."""

    name: str
    href: str
    state: Markup
    said: str  # below the name
    trouble: str  # that keeps a version from serving
    split: Markup
    tiles: Sequence[Tile]
    spread: str  # over the chart of latencies
    latencies: Markup
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    asking: Asking | None
    is_default: bool
    rates: Markup = field(default_factory=Markup)


@dataclass(frozen=True, slots=True)
class View:
    """What the cards are made of."""

    station: Station
    say: Words
    gateway: RunningGateway | None
    recent: Recent
    models: Sequence[ServedModel]


def model_href(name: str, say: Words) -> str:
    """The page of a model."""
    return f"/serving/{quote(name, safe='')}?lang={say.language}"


def model_link(name: str, say: Words) -> Markup:
    """Its name, which leads there."""
    return Markup('<a href="{}">{}</a>').format(model_href(name, say), name)


def split_of(arms: Sequence[Arm], say: Words) -> str:
    """Which versions answer which share, in words."""
    return " · ".join(f"{say(arm.name)} v{arm.version} {arm.share:.0%}" for arm in arms)


def asked_lately(recent: Recent) -> Mapping[str, ModelNumbers]:
    """What each model did in the last minute; what belongs to no model stands under the empty name."""
    return snapshot_of(recent.fresh, 0.0, 0).models


def a_second(count: float, recent: Recent) -> float | None:
    """A count of the last minute as a rate; None while there is nothing to compare with."""
    return count / recent.seconds if recent.seconds else None


def model_card(view: View, model: ServedModel) -> ModelCard:
    """The card of a model."""
    say, recent, name = view.say, view.recent, model.name
    lately = asked_lately(recent).get(name, ModelNumbers(name))
    ever = snapshot_of(recent.whole, 0.0, 0).models.get(name, ModelNumbers(name))
    numbers, spread = recent.fresh, say("Latency, last minute")
    if not lately.requests:
        numbers, spread = recent.whole, say("Latency, since the start")
    known = lately if lately.requests else ever
    inside = _inside(numbers, name)
    shares = [(arm.version, arm.share) for arm in model.serving]
    default = default_of(view.station.settings.project.name, [each.name for each in view.models])
    return ModelCard(
        name=name,
        href=model_href(name, say),
        state=tag(model.worst.word, say),
        said=_said(model, say),
        trouble=say(model.worst.trouble),
        split=share_bar(shares, label=say("split")) if len(shares) > 1 else Markup(""),
        tiles=_tiles(lately, recent, say) if view.gateway is not None else (),
        spread=spread,
        latencies=_latencies(known.durations[:-1], inside[:-1], say),
        facts=_facts(known, inside, recent, say),
        sections=_sections(view, model),
        asking=_asking(view, model, is_default=name == default),
        is_default=name == default,
    )


def _said(model: ServedModel, say: Words) -> str:
    said = [split_of(model.serving, say), f"{say('revision')} {model.in_force or model.revision}"]
    if model.in_force and model.in_force != model.revision:
        said.append(f"{say('newest revision')} {model.revision}")
    if model.failures:
        said.append(f"{say('could not be taken up')}: {say.count(model.failures)}")
    return " · ".join(said)


def _tiles(lately: ModelNumbers, recent: Recent, say: Words) -> list[Tile]:
    p50, p95, p99 = (seconds(lately.latency(part)) for part in (0.5, 0.95, 0.99))
    refused = a_second(lately.refused, recent)
    return [
        Tile(say("requests a second"), rate(a_second(lately.requests, recent), say)),
        Tile("p50", p50),
        Tile("p95", p95),
        Tile("p99", p99),
        Tile(say("refused a second"), rate(refused, say), bool(refused)),
        Tile(say("rows that wait"), say.count(round(lately.queued_rows))),
    ]


def _latencies(whole: Sequence[float], inside: Sequence[float], say: Words) -> Markup:
    spreads = [Spread(say("whole request"), "v0", whole), Spread(say("in the model"), "v1", inside)]
    return latency_chart(SECONDS, spreads, label=say("How latencies spread"), spell=say.count)


def _facts(known: ModelNumbers, inside: Sequence[float], recent: Recent, say: Words) -> list[tuple[str, str]]:
    """Where the time of a request goes, and how many rows go together."""
    whole_mean, model_mean = _mean(known.durations), _mean(inside)
    own = None if whole_mean is None or model_mean is None else max(whole_mean - model_mean, 0.0)
    batches = recent.whole.get("esteira_batch_rows", {}).get((known.model,))
    facts = [
        (say("mean of a request"), seconds(whole_mean)),
        (say("of it in the model"), seconds(model_mean)),
        (say("of it the server's own"), seconds(own)),
        (say("p99 in the model"), seconds(quantile(SECONDS, inside[:-1], 0.99))),
    ]
    often = None if batches is None else quantile(ROWS, batches[:-1], 0.95)
    if batches is not None and often is not None:
        facts.append((say("rows of one call, mean"), f"{_mean(batches):.3g} · p95 {often:.0f}"))
    return facts


def _mean(durations: Sequence[float]) -> float | None:
    count = sum(durations[:-1])
    return durations[-1] / count if count else None


def _inside(numbers: Numbers, model: str, version: str = "") -> list[float]:
    """The time in the model: of all its versions, or of one."""
    found: list[Sequence[float]] = [
        each
        for (name, number), each in numbers.get(_PREDICT, {}).items()
        if name == model and version in {"", number}
    ]
    return [sum(column) for column in zip(*found, strict=True)] or [0.0] * (len(SECONDS) + 2)


def _sections(view: View, model: ServedModel) -> list[Section]:
    rows = [_version(view, model, each) for each in model.versions]
    versions = Section("Versions", columns=_OF_VERSION, rows=rows, numbers=(2, 4, 5, 6, 7, 8, 9))
    past = changes(view.station.routes, view.station.audit, model.name)
    rows = [_change(each, view.say) for each in past]
    changed = Section("Changes", columns=("when", "revision", "what", "who", "why"), rows=rows, numbers=(1,))
    return [versions, *_answers(view, model.name), changed]


def _version(view: View, model: ServedModel, seen: ServedVersion) -> tuple[object, ...]:
    say, recent, key = view.say, view.recent, (model.name, str(seen.arm.version))
    requests = recent.fresh.get("esteira_requests_total", {}).items()
    asked = sum(numbers[0] for labels, numbers in requests if labels[:2] == key)
    inside = _inside(recent.fresh, *key)[:-1]
    cpu = recent.fresh.get("esteira_model_cpu_seconds_total", {}).get(key, [0.0])[0]
    memory = recent.whole.get("esteira_model_memory_bytes", {}).get(key)
    busy = a_second(cpu, recent)
    return (
        f"v{seen.arm.version}",
        say(seen.arm.name),
        f"{seen.arm.share:.0%}",
        tag(seen.word, say),
        rate(a_second(asked, recent), say),
        seconds(quantile(SECONDS, inside, 0.5)),
        seconds(quantile(SECONDS, inside, 0.99)),
        share(busy),
        size(memory[0] if memory else None),
        seen.revision,
        code(seen.arm.digest),
    )


def _answers(view: View, model: str) -> list[Section]:
    """What was answered and what was refused, where there is something to say."""
    answers = answers_of(view.recent, model, view.say)
    refusals = refusals_of(view.recent, model, view.say)
    return [each for each in (answers, refusals) if each.rows]


def answers_of(recent: Recent, model: str, say: Words, title: str = "Answers by status") -> Section:
    """The answers of a model by protocol and status; of no model for the empty name."""
    sums: dict[tuple[str, ...], list[float]] = {}
    for at, numbers in enumerate((recent.whole, recent.fresh)):
        for labels, each in numbers.get("esteira_requests_total", {}).items():
            if labels[0] == model:
                sums.setdefault((labels[3], labels[4]), [0.0, 0.0])[at] += each[0]
    rows = [(protocol, _status(code), *_counts(each, say)) for (protocol, code), each in sorted(sums.items())]
    return Section(
        title, columns=("protocol", "status", "last minute", "since the start"), rows=rows, numbers=(2, 3)
    )


def refusals_of(recent: Recent, model: str, say: Words) -> Section:
    """The requests that were refused, by reason."""
    rows = []
    fresh = recent.fresh.get("esteira_requests_refused_total", {})
    for labels, each in sorted(recent.whole.get("esteira_requests_refused_total", {}).items()):
        if labels[0] == model:
            counts = _counts((each[0], fresh.get(labels, [0.0])[0]), say)
            rows.append((say(_REASONS.get(labels[1], labels[1])), *counts))
    return Section("Refused", columns=("reason", "last minute", "since the start"), rows=rows, numbers=(1, 2))


_REASONS = {
    "full": "too many waited for the model",
    "late": "it would have waited beyond its deadline",
    "overload": "the gateway was overloaded",
}


def _status(code: str) -> Markup:
    return Markup('<span class="tag alarm">{}</span>' if code >= "500" else "{}").format(code)


def _counts(pair: Sequence[float], say: Words) -> tuple[str, str]:
    whole, fresh = pair
    return say.count(round(fresh)), say.count(round(whole))


def _change(change: RouteChange, say: Words) -> tuple[object, ...]:
    if change.routes is not None:
        what = split_of(change.routes.arms, say)
    else:
        what = say("loaded") if change.action == LOAD else say("unloaded")
    who, why = ("", "") if change.record is None else (change.record.actor, change.record.reason)
    revision = "" if change.routes is None else change.routes.revision
    return ("" if change.at is None else moment(change.at), revision, what, who, why)


def _asking(view: View, model: ServedModel, *, is_default: bool) -> Asking | None:
    if view.gateway is None:
        return None
    arm = model.serving[0]
    try:
        found = described(arm, view.station.artifacts.folder(arm.digest))
    except EsteiraError:  # a bundle that is gone or broken; its state says so
        return None
    needs_key = view.station.settings.gateway.access == "keys"
    return asking(view.gateway.url, model.name, found, is_default=is_default, needs_key=needs_key)
