"""What the serving page says of the gateway: workers, logs, answers that no model gave, and who may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from esteira.base.clock import from_micros
from esteira.project.keys import key_store, standing
from esteira.web.cells import moment, share, size, tag
from esteira.web.model_cards import a_second, answers_of, refusals_of
from esteira.web.pages import Section

if TYPE_CHECKING:
    from esteira.serving.telemetry.readings import Numbers
    from esteira.web.gateways import Gateways, RunningGateway
    from esteira.web.model_cards import View

_OPEN = "Anybody who reaches the gateway may ask; what changes models takes a key with the role admin."
_KEYS = "Only who brings a key that is valid may ask."
_HOW = "Keys are made with: esteira keys add NAME --role predict"


def gateway_facts(view: View, gateway: RunningGateway, found: Gateways) -> list[tuple[str, object]]:
    """What there is to know of a gateway that runs."""
    say, whole, settings = view.say, view.recent.whole, view.station.settings.gateway
    held = {labels[0] for labels, on in whole.get("esteira_model_info", {}).items() if on[0]}
    releases = {labels[0] for labels in whole.get("esteira_build_info", {})}
    in_memory = say.count(len(held))
    if settings.memory_mb:
        in_memory += f", {say('within')} {settings.memory_mb} MiB"
    facts: list[tuple[str, object]] = [
        (say("since"), moment(gateway.since)),
        (say("workers"), say.count(len(gateway.workers))),
        (say("in flight"), say.count(round(_sum(whole, "esteira_requests_in_flight") or 0))),
        (say("models in memory"), in_memory),
        (say("release"), ", ".join(sorted(releases))),
        ("API", Markup('<a href="{0}/openapi.json">OpenAPI</a>').format(gateway.url)),
    ]
    if settings.grpc_port:
        facts.append(("gRPC", f"{settings.host}:{settings.grpc_port}"))
    others = [each.port for each in found.running if each.port != gateway.port]
    link = Markup('<a href="?lang={}&amp;port={}">{}</a>')
    if others:
        links = (link.format(say.language, port, port) for port in others)
        facts.append((say("other gateways"), Markup(", ").join(links)))
    return facts


def gateway_sections(view: View) -> list[Section]:
    """Its workers, its logs and what no model answered; who may ask is known without a gateway too."""
    if view.gateway is None:
        return [_keys(view)]
    answers = answers_of(view.recent, "", view.say, "Answers that no model gave")
    refused = refusals_of(view.recent, "", view.say)
    told = [each for each in (answers, refused) if each.rows]
    return [_workers(view, view.gateway), _logs(view), *told, _keys(view)]


def _workers(view: View, gateway: RunningGateway) -> Section:
    """Every process that counts: those that answer HTTP, and the one of gRPC."""
    say, recent = view.say, view.recent
    cpu = recent.fresh.get("esteira_worker_cpu_seconds_total", {})
    held = recent.whole.get("esteira_models_in_memory", {})
    gpu = recent.whole.get("esteira_gpu_memory_bytes", {})
    rows = []
    for (worker,), memory in sorted(recent.whole.get("esteira_worker_memory_bytes", {}).items()):
        pid = worker.removeprefix("w")
        busy = a_second(cpu.get((worker,), [0.0])[0], recent)
        devices = sum(each[0] for labels, each in gpu.items() if labels[0] == worker)
        rows.append(
            (
                pid,
                "HTTP" if pid.isdecimal() and int(pid) in gateway.workers else "gRPC",
                share(busy),
                size(memory[0]),
                say.count(round(held[worker,][0])) if (worker,) in held else "",
                *((size(devices),) if gpu else ()),
            )
        )
    columns = ("process", "speaks", "CPU", "memory", "models", *(("GPU memory",) if gpu else ()))
    return Section("Workers", columns=columns, rows=rows, numbers=tuple(range(2, len(columns))))


def _logs(view: View) -> Section:
    """What waits for the disk and what was left out."""
    say, whole = view.say, view.recent.whole
    queues = {labels[0]: each[0] for labels, each in whole.get("esteira_log_queue_records", {}).items()}
    left_out = {
        "predictions": _sum(whole, "esteira_prediction_log_dropped_total") or 0.0,
        "labels": _sum(whole, "esteira_label_log_dropped_total") or 0.0,
    }
    for name in ("observer_dropped", "pushes_failed"):
        for labels, each in whole.get(f"esteira_{name}_total", {}).items():
            left_out[labels[0]] = each[0]
    rows = []
    for name in dict.fromkeys((*left_out, *queues)):
        queue, dropped = queues.get(name), left_out.get(name)
        css = Markup('<span class="tag alarm">{}</span>' if dropped else "{}")
        rows.append(
            (
                say(name),
                "" if queue is None else say.count(round(queue)),
                "" if dropped is None else css.format(say.count(round(dropped))),
            )
        )
    text = say("What waits for the disk, and what was answered but left out of a log, since the start.")
    return Section("Logs", text, columns=("log", "waiting", "left out"), rows=rows, numbers=(1, 2))


def _keys(view: View) -> Section:
    """Who may ask, without any secret."""
    station, say = view.station, view.say
    now = station.clock.micros()
    rows = [
        (
            each.name,
            tag(standing(each, now), say),
            ", ".join(say(role) for role in each.roles),
            ", ".join(each.models) or say("every model"),
            moment(from_micros(each.created)),
            "" if each.expires is None else moment(from_micros(each.expires)),
            "" if each.revoked is None else moment(from_micros(each.revoked)),
        )
        for each in sorted(key_store(station).all(), key=lambda key: (not key.is_valid(now), -key.created))
    ]
    access = say(_KEYS if station.settings.gateway.access == "keys" else _OPEN)
    columns = ("key", "state", "roles", "models", "created", "expires", "revoked")
    return Section("Who may ask", f"{access} {say(_HOW)}", columns=columns if rows else (), rows=rows)


def _sum(numbers: Numbers, family: str) -> float | None:
    """All series of a family as one number; None when nobody counted."""
    series = numbers.get(family)
    return None if not series else sum(each[0] for each in series.values())
