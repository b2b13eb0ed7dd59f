"""`esteira bench modes`: the same rows in batch, online and as a stream, beside one another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from esteira.project.modes.measured import ModeMeasured, ModesMeasured

_MIB = 1024**2


def configure(act: ArgumentParser, count: Callable[[str], int]) -> None:
    """Give the act its options; `count` reads a whole number from 1 on."""
    version = "of the model (default: the one in production)"
    act.add_argument("--version", type=count, metavar="N", help=version)
    rows = "that every mode scores: those of the prediction log, else drawn (default: 20000)"
    act.add_argument("--rows", type=count, default=20_000, metavar="N", help=rows)
    many = "requests at a time, online (default: 16)"
    act.add_argument("--concurrency", type=count, default=16, metavar="N", help=many)
    where = "for modes-MODEL.json and .svg (default: .esteira/bench)"
    act.add_argument("-o", "--output", "--out", type=Path, metavar="FOLDER", help=where)


def run(arguments: Namespace, follow: Callable[[str, float], None]) -> ModesMeasured:
    """Compare the modes of a project folder."""
    from esteira.project.modes.comparing import ModesWanted, compare_modes

    wanted = ModesWanted(Path(arguments.folder), arguments.version, arguments.rows, arguments.concurrency)
    return compare_modes(wanted, follow)


def tell(measured: ModesMeasured, arguments: Namespace, name: str) -> int:
    """Write the files, called `name`, and print; gives the exit code."""
    folder = arguments.output or Path(arguments.folder) / ".esteira" / "bench"
    chart = _write(measured, folder, name)
    if arguments.json:
        print_json(measured.to_plain())
    else:
        _show(measured, chart)
    return 1 if measured.failed else 0


def _write(measured: ModesMeasured, folder: Path, name: str) -> Path:
    """The figures as JSON and a drawing of them; the drawing's path."""
    from esteira.base.files import write_atomic
    from esteira.serving.load.mode_chart import ModeBars, modes_chart

    text = json.dumps(measured.to_plain(), indent=2, ensure_ascii=False) + "\n"
    write_atomic(folder / f"{name}.json", text.encode())
    chart = folder / f"{name}.svg"
    bars = [ModeBars(each.name, each.rows_per_s, each.p50_s, each.p99_s) for each in measured.modes]
    write_atomic(chart, modes_chart(_title(measured), bars).encode())
    return chart


def _title(measured: ModesMeasured) -> str:
    return f"{measured.model}, version {measured.version}: {measured.rows:,} rows in every mode"


def _show(measured: ModesMeasured, chart: Path) -> None:
    times = ("seconds", "rows/s", "p50 ms", "p99 ms", "to start s")
    columns = ("mode", *times, "CPU s/M rows", "PSS MiB", "no score", "differing")
    print_table(_title(measured), columns, [_row(mode) for mode in measured.modes])
    screen = console()

    def say(line: str) -> None:
        screen.print(line, markup=False)

    say(_agreement(measured))
    for sentence in measured.sentences:
        say(f"- {sentence[0].upper()}{sentence[1:]}")
    stream = measured.modes[-1].facts
    say(
        f"{measured.recorded:,} rows from the prediction log, the others drawn; how long a row of the stream "
        f"waits: at {stream['paced_rows_per_s']:,.0f} rows/s\nJSON and drawing: {chart}"
    )


def _agreement(measured: ModesMeasured) -> str:
    lacking = [mode for mode in measured.modes if mode.missing]
    if lacking:
        said = "; ".join(f"{mode.name}: {mode.missing:,}, {mode.facts.get('refused')}" for mode in lacking)
        return f"rows without a score, and why: {said}"
    if not measured.differing:
        return f"all modes give the same scores to the bit, on each of {measured.rows:,} rows"
    differs = f"the modes differ on {measured.differing:,} rows, by {measured.greatest:.3g} at most"
    if measured.is_exact:
        return f"{differs}: that must not be, please report it with the JSON"
    return f"{differs}: this model may answer otherwise for many rows at once than for one"


def _row(mode: ModeMeasured) -> tuple[object, ...]:
    cpu = mode.cpu_per_million
    return (
        mode.name,
        f"{mode.seconds:.3f}",
        f"{mode.rows_per_s:,.0f}",
        f"{mode.p50_s * 1000:.2f}",
        f"{mode.p99_s * 1000:.2f}",
        f"{mode.start_s:.2f}",
        None if cpu is None else f"{cpu:,.1f}",
        None if mode.memory_bytes is None else f"{mode.memory_bytes / _MIB:,.0f}",
        f"{mode.missing:,}",
        f"{mode.differing:,}",
    )
