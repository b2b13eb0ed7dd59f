"""`esteira demo`: the ring on real data, told as it happens."""

from __future__ import annotations

import resource
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from datetime import datetime

    from rich.console import Console

    from esteira.project.demo.play import Played
    from esteira.project.demo.report import Compared
    from esteira.project.story import StoryEvent
    from esteira.project.verifying import Finding


def configure(parser: ArgumentParser) -> None:
    parser.set_defaults(folder="esteira-demo")
    parser.add_argument("--until", default="2013-07-12", metavar="DAY", help="the last day of 2013 to replay")
    parser.add_argument("--language", choices=("en", "pt-BR"), default="en", help="of the story")
    parser.add_argument("--no-wait", action="store_true", help="end when the story ends, at a terminal too")


def run(arguments: Namespace) -> int:
    from rich.markup import escape

    from esteira.base.clock import parse_time
    from esteira.cli.page import page
    from esteira.project.demo.play import Demo, Told

    watched = sys.stdout.isatty() and not arguments.json  # by a person, who may like to look
    end = parse_time(f"{arguments.until}T00:00:00Z", "--until")
    talk = console(aside=arguments.json)
    talk.print("[bold]esteira demo[/]: will this flight arrive more than 15 minutes late?", highlight=False)
    with talk.status("starting") as status:

        def on_event(event: StoryEvent) -> None:
            colour = "red" if event.is_alarming else "green"
            told = escape(event.tell(arguments.language))
            talk.print(f"[{colour}]{event.at:%Y-%m-%d}[/]  {told}", markup=True)

        def on_progress(what: str, at: datetime, done: float) -> None:
            status.update(f"{at:%Y-%m-%d}  {what}  {done:.0%}")

        listener = Told((lambda _: None) if arguments.json else on_event, on_progress)
        with Demo(Path(arguments.folder), listener, end=end) as demo, ExitStack() as stack:
            if watched:
                site = stack.enter_context(page(demo.station.settings.root, port=0))
                talk.print(f"watch it on the page: {site.url}", markup=False)
            played = demo.play()
            status.stop()
            if arguments.json:
                print_json(played)
            else:
                _show(played, talk, arguments.folder)
            if watched and not arguments.no_wait:
                talk.print("the page stays up until Ctrl-C")
                with suppress(KeyboardInterrupt):
                    threading.Event().wait()
    return 0 if played.whole else 1


def _show(played: Played, talk: Console, folder: str) -> None:
    measured = played.report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parity, latency = measured.parity, (measured.latency_p50 * 1e6, measured.latency_p99 * 1e6)
    rate = played.answered / max(played.replay_seconds, 1e-9)
    parts = f"replay {played.replay_seconds:.1f} s, ring {played.ring_seconds:.1f} s"
    seconds = f"{played.total_seconds:.1f} s: {parts}"
    rows: list[tuple[str, str]] = [
        ("requests answered over HTTP", f"{played.answered:,} ({played.failed} failed)"),
        ("flights asked about", f"{measured.predictions:,}, {measured.labelled:,} with their outcome"),
        ("replay rate", f"{rate:,.0f} requests/s, client and features included"),
        ("time in the gateway", f"p50 {latency[0]:.0f} µs, p99 {latency[1]:.0f} µs"),
        ("models", f"{measured.versions} trained, {measured.promoted} promoted by the ring"),
        ("serving = training", f"{parity.cells:,} logged values, {parity.differing} not equal to the bit"),
        *_gain("all flights", measured.everything),
    ]
    if measured.since_promotion is not None:
        rows += _gain("since the first promotion", measured.since_promotion)
    rows += [(f"verified: {f.what}", _finding(f)) for f in played.findings]
    rows += [
        ("time", seconds),
        ("peak memory", f"{peak:,.0f} MiB, the gateway not counted"),
    ]
    print_table("What was measured", ("what", "measured"), rows)
    talk.print(f"everything is in {folder}; look around with: esteira status -C {folder}", markup=False)


def _finding(finding: Finding) -> str:
    return "; ".join(finding.problems) or f"{finding.checked:,} whole"


def _gain(when: str, compared: Compared) -> list[tuple[str, str]]:
    frozen = {m.metric: m for m in compared.frozen}
    return [
        (
            f"{m.metric}, {when}",
            f"ring {m.value:.4f} [{m.low:.4f}, {m.high:.4f}], never retrained {frozen[m.metric].value:.4f} "
            f"[{frozen[m.metric].low:.4f}, {frozen[m.metric].high:.4f}], n = {compared.rows:,}",
        )
        for m in compared.ring
        if m.metric in {"roc_auc", "log_loss"}
    ]
