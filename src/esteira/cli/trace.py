"""`esteira trace ID`: a prediction back to its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from esteira.governance.trace import Trace


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("prediction", metavar="ID", help="the id that came with the answer")


def run(arguments: Namespace) -> int:
    from esteira.project.station import open_station
    from esteira.project.tracing import trace_prediction

    found = trace_prediction(open_station(arguments.folder), arguments.prediction)
    if arguments.json:
        print_json(found)
    else:
        _show(found)
    return 0


def _show(found: Trace) -> None:
    prediction, version = found.prediction, found.version
    label = (
        "not yet known"
        if found.label is None
        else f"{found.label['value']:g} at {found.label['observed_at']}"
    )
    split = "-"
    if found.routes is not None:
        split = ", ".join(f"{arm.name} v{arm.version} {arm.share:.0%}" for arm in found.routes.arms)
    facts = [
        ("prediction", f"{prediction['id']} at {prediction['at']}"),
        ("score", f"{prediction['score']:.4f}"),
        ("truth", label),
        ("model", f"{version.name} version {version.version}, bundle {version.digest[:12]}"),
        ("route", f"revision {prediction['revision']}: {split}; this one took the {prediction['arm']}"),
        ("gates", version.tags.get("esteira.gates", "-")),
        ("training set", version.tags.get("esteira.dataset", "-")[:12]),
    ]
    if found.members:
        said = ("not asked, or failed" if part is None else f"{part:.4f}" for part in found.members.values())
        facts += [(f"member {name}", words) for name, words in zip(found.members, said, strict=True)]
    if found.run is not None:
        facts += [
            ("run", f"{found.run.id}, {found.run.status}"),
            ("data", ", ".join(sorted(found.run.inputs.values()))),
            ("parameters", ", ".join(f"{name}={value}" for name, value in found.run.parameters.items())),
        ]
    facts += [("code", f"{step.step}: key {step.key[:12]}") for step in found.steps]
    facts += [
        ("audit", f"#{e.seq} {e.at:%Y-%m-%d %H:%M} {e.actor} {e.action}: {e.reason}")
        for e in found.audit[-5:]
    ]
    print_table("Trace", ("what", "fact"), facts)
    print_table("What the model saw", ("feature", "value"), found.features.items())
    console().print("walk on with: esteira reproduce " + str(version.version))
