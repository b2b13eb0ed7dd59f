"""What `esteira features verify` and `esteira features leaks` say."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from esteira.features.proofs.leaks import Leak
    from esteira.project.proofs import FeaturesVerified, LeaksSearched
    from esteira.project.station import Station


def verify(station: Station, arguments: Namespace) -> int:
    """Online against offline; 1 when a cell differs."""
    from esteira.project.proofs import verify_features

    with _progress(as_json=arguments.json) as follow:
        found = verify_features(station, sample=arguments.sample, seed=arguments.seed, on_progress=follow)
    if arguments.json:
        print_json({"passed": found.passed, "result": found})
    else:
        _show_verified(found)
    return 0 if found.passed else 1


def leaks(station: Station, arguments: Namespace) -> int:
    """The training set in other futures; 1 when its past changed."""
    from esteira.project.proofs import find_leaks

    with _progress(as_json=arguments.json) as follow:
        found = find_leaks(station, cutoffs=arguments.cutoffs, seed=arguments.seed, on_progress=follow)
    if arguments.json:
        print_json({"passed": found.passed, "result": found})
    else:
        _show_leaks(found)
    return 0 if found.passed else 1


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[str, float], None]]:
    with console(aside=as_json).status("reading the tables") as status:
        yield lambda what, share: status.update(f"{share:.0%} {what}")


def _show_verified(found: FeaturesVerified) -> None:
    rows: list[tuple[object, ...]] = [
        (f"view {each.view}", f"{each.keys:,} keys", f"{each.cells:,}", f"{each.differing:,}")
        for each in found.views
    ]
    logged = found.logged
    if logged is not None:
        asked = f"{logged.predictions:,} predictions"
        rows.append(("logged vectors", asked, f"{logged.cells:,}", f"{logged.differing:,}"))
    title = f"Online against offline at {found.at:%Y-%m-%d %H:%M:%S} UTC"
    print_table(title, ("what", "sample", "cells", "differ"), rows)
    if examples := [*_examples(found)]:
        columns = ("key or prediction", "column", "online", "offline", "likely cause")
        print_table("The first cells that differ", columns, examples)
    if logged is not None and logged.unchecked:
        unchecked = ", ".join(logged.unchecked)
        console().print(f"not checked, for the log lacks a key or an input: {unchecked}", markup=False)
    console().print("online equals offline" if found.passed else "online differs from offline", markup=False)


def _examples(found: FeaturesVerified) -> Iterator[tuple[object, ...]]:
    for view in found.views:
        for cell in view.examples:
            online, offline = f"{cell.online}, {cell.online_status}", f"{cell.offline}, {cell.offline_status}"
            yield ", ".join(cell.key), cell.column, online, offline, cell.cause
    for each in found.logged.examples if found.logged else ():
        yield each.prediction, each.column, each.logged, each.offline, each.cause


def _show_leaks(found: LeaksSearched) -> None:
    for leak in found.leaks:
        print_table(f"Leak, found by {leak.check}", ("what", "fact"), _facts(leak))
    for risk in found.risks:
        console().print(f"risk: {risk.what}, {risk.rows:,} rows; {risk.mend}", markup=False)
    for why in found.searched.undecided:
        console().print(f"not decided: {why}", markup=False)
    seen = found.searched
    verdict = (
        f"{len(found.leaks)} leaks" if found.leaks else "no leak" if seen.cells else "nothing to compare"
    )
    looked = f"{seen.cells:,} cells of {seen.questions:,} questions in {seen.futures:,} other futures"
    asked = f"step {found.training_set}, questions of {found.spine}"
    console().print(f"{asked}: {verdict}; looked at {looked}", markup=False)


def _facts(leak: Leak) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("columns", ", ".join(leak.columns)),
        ("reaches", f"{leak.cells:,} cells of {leak.rows:,} questions"),
        ("likely cause", leak.cause),
        ("mend", leak.mend),
    ]
    if (one := leak.example) is not None:
        told = f"{one.column} is {one.value}, in another future {one.without}"
        facts.append(("first", f"question {one.question} of {one.asked_at:%Y-%m-%d %H:%M}: {told}"))
    return facts
