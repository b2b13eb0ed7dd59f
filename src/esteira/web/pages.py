"""What each page says: sections read from the project's stores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from esteira.project.observations import Observations
from esteira.project.overview import table_states, traffic
from esteira.web.cells import code, decimal, moment, rollout_link, tag
from esteira.web.charts import Point, line_chart, share_bar, stacked_bars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from esteira.project.observations import Observation
    from esteira.project.station import Station
    from esteira.web.words import Words

_DRIFT_CHARTS = 6
_NOT_ENOUGH = "not enough data"
_URGENCY = ("firing", "resolving", "pending", "ok")  # which alerts stand first


@dataclass(frozen=True, slots=True)
class Section:
    """A card of a page: words, facts, a chart, a table, or all of them."""

    title: str = ""
    text: str = ""
    chart: Markup = field(default_factory=Markup)
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    numbers: Sequence[int] = ()  # columns to align right
    facts: Sequence[tuple[str, object]] = ()  # each with its name, in the reader's language


def data(station: Station, say: Words) -> list[Section]:
    """Tables with their versions, and what was kept aside."""
    rows = [
        (
            s.version.table,
            s.version.version,
            say.count(s.version.rows),
            say.count(s.quarantined),
            moment(s.version.committed_at),
        )
        for s in table_states(station)
    ]
    columns = ("table", "version", "rows", "in quarantine", "committed")
    return [Section(columns=columns, rows=rows, numbers=(1, 2, 3))]


def runs(station: Station, say: Words) -> list[Section]:
    """The newest runs, each with its steps and why they ran."""
    sections = []
    for run in reversed(station.journal.runs()[-12:]):
        pinned = ", ".join(
            identity for name, identity in sorted(run.inputs.items()) if identity.startswith(name + "@")
        )
        records = station.journal.steps(run.id)
        took = sum(s.seconds for s in records if not s.cached)  # the clock may be simulated
        steps = [
            (s.step, say("cached") if s.cached else f"{s.seconds:.2f} s", s.reason, code(s.key))
            for s in records
        ]
        given = ", ".join(f"{name}={value}" for name, value in run.parameters.items())
        began = f"{run.started_at:%Y-%m-%d %H:%M}"
        text = f"{began} · {say(run.status)} · {took:.1f} s · {pinned} · {given} {run.error}"
        sections.append(
            Section(run.id, text, columns=("step", "time", "why", "digest"), rows=steps, numbers=(1,))
        )
    return sections


def models(station: Station, say: Words) -> list[Section]:
    """Every version with its metrics and gates, and who was promoted when."""
    name = station.project.name
    versions = [
        (
            v.version,
            ", ".join(say(alias) for alias in v.aliases),
            _metrics(v.metrics),
            tag(v.tags.get("esteira.gates", ""), say),
            moment(v.created_at),
            code(v.digest),
        )
        for v in reversed(station.registry.versions(name))
    ]
    promotions = [
        (moment(p.at), say(p.alias), p.version, p.previous_version, p.reason)
        for p in reversed(station.promotions.history(name))
    ]
    return [
        Section(
            "Versions", columns=("version", "alias", "metric", "gates", "created", "digest"), rows=versions
        ),
        Section("Promotions", columns=("when", "alias", "version", "before", "why"), rows=promotions),
    ]


def _metrics(metrics: Mapping[str, float]) -> str:
    whole = [name for name in metrics if not name.endswith(("_low", "_high"))]
    return ", ".join(f"{name} {metrics[name]:.3f}" for name in sorted(whole))


def traffic_page(station: Station, say: Words) -> list[Section]:
    """Who answers now, how many answers each day brought, and how rollouts went."""
    name = station.project.name
    routes = station.routes.get(name)
    sections = []
    if routes is not None:
        shares = [(arm.version, arm.share) for arm in routes.arms]
        split = " · ".join(f"{say(arm.name)} v{arm.version} {arm.share:.0%}" for arm in routes.arms)
        sections.append(
            Section(
                "Who answers now",
                f"{split} ({say('revision')} {routes.revision})",
                share_bar(shares, label=say("split")),
            )
        )
    days = [(day.day, day.answers) for day in traffic(station)]
    sections.append(
        Section("Answers per day", chart=stacked_bars(days, label=say("Answers per day"), spell=say.count))
    )
    rollouts = [
        (
            moment(r.started_at),
            f"v{r.champion_version} → v{r.challenger_version}",
            tag(r.state, say),
            r.reason,
            rollout_link(r.id, say),
        )
        for r in reversed(station.rollouts.history(name))
    ]
    columns = ("started", "version", "state", "why", "rollout")
    sections.append(Section("Rollouts", columns=columns, rows=rollouts))
    return sections


def performance(station: Station, say: Words) -> list[Section]:
    """The metric on labelled predictions, window by window, with its interval and what was expected."""
    sections = []
    seen = Observations(station.state).of("performance")
    for subject in dict.fromkeys(o.subject for o in seen):
        mine = [o for o in seen if o.subject == subject]
        points = [Point(o.end, o.value, o.low, o.high, o.verdict == "worse", _note(o, say)) for o in mine]
        chart = line_chart(
            points, label=subject, limits=[o.threshold for o in mine], marks=_promotions(station)
        )
        rows = [
            (
                f"{o.start:%m-%d} – {o.end:%m-%d}".replace(" ", "\N{NO-BREAK SPACE}"),
                f"v{o.version}",
                decimal(o.value),
                f"{decimal(o.low)} – {decimal(o.high)}".replace(" ", "\N{NO-BREAK SPACE}"),
                decimal(o.threshold),
                f"{o.maturity:.0%}",
                tag(o.verdict, say),
            )
            for o in reversed(mine)
        ]
        columns = ("window", "version", "value", "interval", "threshold", "maturity", "verdict")
        sections.append(Section(subject, chart=chart, columns=columns, rows=rows, numbers=(2, 4, 5)))
    return sections


def drift(station: Station, say: Words) -> list[Section]:
    """The columns that moved most against what the champion was trained on."""
    seen = Observations(station.state).of("drift")
    if not seen:
        return []
    judged = [o for o in seen if o.verdict != _NOT_ENOUGH]
    last = (judged or seen)[-1]  # the newest window that says something
    ranked = sorted((o for o in seen if o.end == last.end), key=lambda o: -_ratio(o))
    rows = [(o.subject, decimal(_seen(o)), decimal(_limit(o)), tag(o.verdict, say)) for o in ranked]
    text = f"{say('window')} {last.start:%Y-%m-%d} – {last.end:%Y-%m-%d}, v{last.version}"
    if seen[-1].end != last.end:
        text += f" · {say('since then')}: {say(_NOT_ENOUGH)}"
    sections = [
        Section(
            "The columns that moved most",
            text,
            columns=("column", "PSI", "threshold", "verdict"),
            rows=rows,
            numbers=(1, 2),
        )
    ]
    for column in ranked[:_DRIFT_CHARTS]:
        mine = [o for o in seen if o.subject == column.subject]
        points = [Point(o.end, _seen(o), bad=_ratio(o) > 1, note=_note(o, say)) for o in mine]
        chart = line_chart(
            points, label=column.subject, limits=[_limit(o) for o in mine], marks=_promotions(station)
        )
        if chart:
            sections.append(Section(column.subject, chart=chart))
    return sections


def alerts(station: Station, say: Words) -> list[Section]:
    """What alarms now, and every transition."""
    standing = sorted(station.alerts.alerts(), key=lambda a: _URGENCY.index(a.state))
    now = [(a.monitor, a.subject, tag(a.state, say), moment(a.since), a.message) for a in standing]
    past = [
        (moment(a.at), a.monitor, a.subject, tag(a.state, say), a.message)
        for a in reversed(station.alerts.history())
    ]
    return [
        Section("Now", columns=("monitor", "subject", "state", "since", "message"), rows=now),
        Section("Transitions", columns=("when", "monitor", "subject", "state", "message"), rows=past[:200]),
    ]


def audit(station: Station, say: Words) -> list[Section]:
    """The newest records of the ledger, and whether the chain is whole."""
    verified = station.audit.verify()
    text = f"{say('The chain is whole')}: {say.count(verified.records)} {say('records')}"
    if verified.broken is not None:
        text = f"{say('The chain is broken at record')} {verified.broken.seq}: {verified.broken.reason}"
    rows = [
        (
            e.seq,
            moment(e.at),
            e.actor,
            e.action,
            e.resource,
            e.reason,
            code(e.digest),
        )
        for e in reversed(station.audit.events(limit=200))
    ]
    columns = ("#", "when", "who", "action", "resource", "why", "digest")
    return [Section(text=text, columns=columns, rows=rows, numbers=(0,))]


def _promotions(station: Station) -> dict[datetime, str]:
    history = station.promotions.history(station.project.name)
    return {p.at: f"v{p.version}" for p in history if p.alias == "champion"}


def _seen(seen: Observation) -> float | None:
    return None if seen.verdict == _NOT_ENOUGH else seen.value


def _limit(seen: Observation) -> float | None:
    return None if seen.verdict == _NOT_ENOUGH else seen.threshold


def _ratio(seen: Observation) -> float:
    return (_seen(seen) or 0.0) / seen.threshold if seen.threshold else 0.0


def _note(seen: Observation, say: Words) -> str:
    window = f"{seen.start:%Y-%m-%d} – {seen.end:%Y-%m-%d}"
    return f"{window}: {decimal(seen.value)}, n={say.count(seen.rows)} ({say(seen.verdict)})"
