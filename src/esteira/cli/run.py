"""`esteira run`: ingest what is new, run the pipeline, judge the model and register it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping, Sequence

    from esteira.data.ingestion import Ingested
    from esteira.pipelines.run import Outcome, StepEvent
    from esteira.project.release import Candidate
    from esteira.project.station import Station


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the run, e.g. days=60",
    )
    parser.add_argument("--why", metavar="STEP", help="only say why a step ran, or did not, in the last run")
    parser.add_argument("--deploy", action="store_true", help="deploy at once if every gate passed")


def run(arguments: Namespace) -> int:
    from esteira.project.ingesting import ingest_new
    from esteira.project.release import deploy
    from esteira.project.station import open_station

    station = open_station(arguments.folder)
    if arguments.why:
        return _why(station, arguments.why, as_json=arguments.json)
    with console(aside=arguments.json).status("reading the sources"):
        came = ingest_new(station, station.clock.now())
    if not station.project.steps:
        return _nothing_to_run(came, as_json=arguments.json)
    outcome, candidate = _train_and_judge(station, arguments)
    if arguments.deploy and candidate.passed:
        deploy(station, candidate.version.version, "deployed by esteira run --deploy")
    if arguments.json:
        print_json({"run": outcome.run, "ingested": came, "candidate": candidate, "passed": candidate.passed})
    else:
        _tell(came)
        steps = station.journal.steps(outcome.run.id)
        rows = ((s.step, "cached" if s.cached else f"{s.seconds:.2f} s", s.reason) for s in steps)
        print_table(f"Run {outcome.run.id}", ("step", "time", "why"), rows)
        _show(candidate)
    return 0 if candidate.passed else 1


def _train_and_judge(station: Station, arguments: Namespace) -> tuple[Outcome, Candidate]:
    from esteira.project.release import judge_and_register, train

    with console(aside=arguments.json).status("running the steps") as status:

        def follow(event: StepEvent) -> None:
            status.update(f"{event.step}: {event.kind}")

        outcome = train(station, parameters=_parameters(arguments.set), on_event=follow)
        status.update("judging the model")
        return outcome, judge_and_register(station, outcome)


def _nothing_to_run(came: Mapping[str, Ingested], *, as_json: bool) -> int:
    if as_json:
        print_json({"run": None, "ingested": came})
    else:
        _tell(came)
        print("the project has no steps, so there is no pipeline to run; see: esteira features list")
    return 0


def _tell(came: Mapping[str, Ingested]) -> None:
    for name, ingested in came.items():
        console().print(f"{name}: {ingested.accepted:,} rows in, {ingested.quarantined:,} in quarantine")


def _parameters(pairs: Sequence[str]) -> dict[str, object]:
    import json

    from esteira.base.errors import BadInput

    given: dict[str, object] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise BadInput(f"--set takes NAME=VALUE, found {pair!r}")
        try:
            given[name] = json.loads(text)
        except ValueError:
            given[name] = text
    return given


def _why(station: Station, step: str, *, as_json: bool) -> int:
    from esteira.project.running import last_reason

    record = last_reason(station, step)
    if as_json:
        print_json(record)
    else:
        print(f"{record.step}: {record.reason}")
    return 0


def _show(candidate: Candidate) -> None:
    version = candidate.version
    metrics = ((m.metric, f"{m.value:.4f}", f"{m.low:.4f} to {m.high:.4f}") for m in candidate.measured)
    print_table(f"Version {version.version} of {version.name}", ("metric", "value", "95 %"), metrics)
    gates = (("pass" if g.passed else "FAIL", g.reason) for g in candidate.gates)
    print_table("Gates", ("", "why"), gates)
