"""`esteira rollout`: begin, watch, hold and end the rollout of a version."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from esteira.cli.acts import add_acts
from esteira.cli.output import print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Mapping
    from typing import Any

    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout

_ACTS = {
    "start": "begin the rollout of a version",
    "status": "the rollout under way: where it stands, and what it is waiting for",
    "list": "all rollouts, the newest first",
    "show": "one rollout with every move",
    "pause": "hold the rollout under way at its step; harm ends it all the same",
    "resume": "let it go on",
    "promote": "make the challenger the champion now, whatever its evidence",
    "abort": "give the champion all the traffic back",
    "report": "write down what was seen of a rollout, as a page, text and JSON",
}
_BY_HAND = {"pause": "paused", "resume": "resumed", "promote": "promoted", "abort": "aborted"}


def configure(parser: ArgumentParser) -> None:
    acts = add_acts(parser, _ACTS)
    start = acts["start"]
    start.add_argument("version", type=int, help="the number of a registered version")
    start.add_argument(
        "--strategy",
        default="",
        help="canary, blue-green, shadow, champion-challenger, ab or bandit (default: the project's)",
    )
    start.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="a setting of the plan, such as shares=0.1,1 or bake=2h; may be given several times",
    )
    start.add_argument("--reason", default="rolled out by hand", help="what the audit ledger keeps")
    for name in ("show", "report"):
        acts[name].add_argument("id", nargs="?", default="", help="of a rollout (default: the newest)")
    for name, told in _BY_HAND.items():
        acts[name].add_argument("--reason", default=f"{told} by hand", help="what the audit ledger keeps")


def _setting(text: str) -> tuple[str, str]:
    name, is_there, value = text.partition("=")
    if not name or not is_there:
        raise ArgumentTypeError(f"{text!r} is no setting; write NAME=VALUE, e.g. minimum=500")
    return name, value


def run(arguments: Namespace) -> int:
    from esteira.project.station import open_station

    _RUN[arguments.act](open_station(arguments.folder), arguments)
    return 0


def _start(station: Station, arguments: Namespace) -> None:
    from esteira.project.rollouts.rolling import start_rollout
    from esteira.serving.rollout.plan_texts import plan_of_texts

    plan = plan_of_texts(arguments.strategy, dict(arguments.set), station.project.rollout)
    start_rollout(station, arguments.version, arguments.reason, plan)
    _tell(station, arguments, station.rollouts.history(station.project.name)[-1])


def _status(station: Station, arguments: Namespace) -> None:
    rollout = station.rollouts.active(station.project.name)
    if rollout is not None:
        _tell(station, arguments, rollout)
    elif arguments.json:
        print_json({"rollout": None})
    else:
        print("no rollout is under way; begin one with: esteira rollout start VERSION")


def _list(station: Station, arguments: Namespace) -> None:
    found = station.rollouts.history(station.project.name)[::-1]
    if arguments.json:
        print_json({"rollouts": [_plain(each) for each in found]})
        return
    rows = (
        (e.id, e.plan.strategy, f"{e.champion_version} → {e.challenger_version}", e.standing, e.reason)
        for e in found
    )
    print_table("Rollouts", ("id", "strategy", "versions", "state", "why"), rows)


def _show(station: Station, arguments: Namespace) -> None:
    rollout = _chosen(station, arguments.id)
    changes = station.rollouts.changes(rollout.id)
    if arguments.json:
        print_json(_plain(rollout) | {"changes": changes})
        return
    _print(station, rollout)
    rows = ((f"{e.at:%Y-%m-%d %H:%M}", e.state, e.step + 1 if e.step >= 0 else "", e.reason) for e in changes)
    print_table("Moves", ("when (UTC)", "state", "step", "why"), rows)


def _report(station: Station, arguments: Namespace) -> None:
    from esteira.project.rollouts.reporting import write_report

    path = write_report(station, _chosen(station, arguments.id).id)
    if arguments.json:
        print_json({"report": str(path)})
    else:
        print(f"the report is {path}")


def _chosen(station: Station, rollout_id: str) -> Rollout:
    from esteira.base.errors import NotFound

    if rollout_id:
        return station.rollouts.get(rollout_id)
    history = station.rollouts.history(station.project.name)
    if not history:
        mend = "begin one with: esteira rollout start VERSION"
        raise NotFound("a rollout of", station.project.name, mend)
    return history[-1]


def _by_hand(act: str) -> Callable[[Station, Namespace], None]:
    def done(station: Station, arguments: Namespace) -> None:
        from esteira.project.rollouts import rolling

        acts = {
            "pause": rolling.pause,
            "resume": rolling.go_on,
            "promote": rolling.promote_by_hand,
            "abort": rolling.abort,
        }
        _tell(station, arguments, acts[act](station, arguments.reason))

    return done


def _tell(station: Station, arguments: Namespace, rollout: Rollout) -> None:
    if arguments.json:
        print_json({"rollout": _plain(rollout), "routes": station.routes.get(rollout.model)})
    else:
        _print(station, rollout)


def _print(station: Station, rollout: Rollout) -> None:
    routes = station.routes.get(rollout.model)
    arms = routes.arms if routes is not None else ()
    split = ", ".join(f"version {each.version} {each.share:.0%}" for each in arms)
    shadows = routes.shadows if routes is not None else ()
    rows: list[tuple[str, object]] = [
        ("strategy", rollout.plan.strategy),
        ("champion, challenger", f"version {rollout.champion_version}, version {rollout.challenger_version}"),
        ("state", rollout.standing),
        ("since", f"{rollout.step_since:%Y-%m-%d %H:%M} UTC"),
        ("why", rollout.reason),
        ("serves now", split),
    ]
    if shadows:
        rows.append(("asked besides", ", ".join(f"version {e.version} {e.share:.0%}" for e in shadows)))
    if rollout.plan.segments:
        rows.append(("only segments", ", ".join(rollout.plan.segments)))
    print_table(f"Rollout {rollout.id}", ("what", "state"), rows)


def _plain(rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "model": rollout.model,
        "champion": rollout.champion_version,
        "challenger": rollout.challenger_version,
        "state": str(rollout.state),
        "standing": rollout.standing,
        "step": rollout.step,
        "share": rollout.share,
        "started_at": rollout.started_at,
        "step_since": rollout.step_since,
        "reason": rollout.reason,
        "evidence": dict(rollout.evidence),
        "plan": rollout.plan.to_plain(),
    }


_RUN: Mapping[str, Callable[[Station, Namespace], None]] = {
    "start": _start,
    "status": _status,
    "list": _list,
    "show": _show,
    "report": _report,
    **{act: _by_hand(act) for act in _BY_HAND},
}
