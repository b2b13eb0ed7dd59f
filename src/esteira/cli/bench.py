"""`esteira bench serving [MODEL]`: how fast the gateway answers for a model of yours, and what it costs.

`esteira bench modes` (`bench_modes.py`): the same rows in batch, online and as a stream.
"""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.cli import bench_modes
from esteira.cli.acts import add_acts
from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator

    from esteira.project.benching import LoadMeasured
    from esteira.serving.load.points import Point

_ACTS = {
    "serving": "latency, throughput, processor and memory of a model under load",
    "modes": "the same rows in batch, online and as a stream: what each costs, and whether all agree",
}
_MIB = 1024**2


def configure(parser: ArgumentParser) -> None:
    acts = add_acts(parser, _ACTS)
    bench_modes.configure(acts["modes"], _count)
    act = acts["serving"]
    act.add_argument("model", nargs="?", default="", metavar="MODEL", help="a name (default: the project's)")
    act.add_argument("--rows", type=_count, default=1, metavar="N", help="of each request (default: 1)")
    many = "connections, several after one another (default: 1,16,64)"
    act.add_argument("--concurrency", type=_counts, default=(1, 16, 64), metavar="N,N", help=many)
    act.add_argument("--seconds", type=_positive, default=5.0, metavar="S", help="of each load (default: 5)")
    rate = "requests a second, due whether or not others were answered (default: as fast as answers come)"
    act.add_argument("--rate", type=_positive, metavar="R", help=rate)
    act.add_argument("--protocol", choices=("oip", "invocations"), default="oip", help="(default: oip)")
    running = "of a gateway that runs, which logs what it is asked (default: one of its own, which does not)"
    act.add_argument("--url", default="", help=running)
    key = "a file with an API key of the roles predict and observe; without one, keys are not checked"
    act.add_argument("--key-file", type=Path, metavar="FILE", help=key)
    act.add_argument("--yes-remote", action="store_true", help="the URL is of a machine of yours: load it")
    where = "for serving-MODEL.json and .svg (default: .esteira/bench)"
    act.add_argument("-o", "--output", type=Path, metavar="FOLDER", help=where)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"must be a whole number from 1 on, found {text!r}")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(sorted({_count(part.strip()) for part in text.split(",")}))


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"must be a number above 0, found {text!r}")
    return number


def run(arguments: Namespace) -> int:
    if arguments.act == "serving":
        return _serving(arguments)
    with _progress(as_json=arguments.json) as follow:
        measured = bench_modes.run(arguments, follow)
    return bench_modes.tell(measured, arguments, f"modes-{_as_file(measured.model)}")


def _serving(arguments: Namespace) -> int:
    from esteira.project.benching import LoadWanted, measure_serving

    wanted = LoadWanted(
        Path(arguments.folder),
        arguments.model,
        arguments.url,
        _key(arguments.key_file),
        arguments.rows,
        arguments.concurrency,
        arguments.seconds,
        arguments.rate,
        arguments.protocol,
        arguments.yes_remote,
    )
    with _progress(as_json=arguments.json) as follow:
        measured = measure_serving(wanted, follow)
    written = _write(measured, arguments.output or Path(arguments.folder) / ".esteira" / "bench")
    if arguments.json:
        print_json(measured.to_plain())
    else:
        _show(measured, written)
    return 1 if measured.failed else 0


def _key(path: Path | None) -> str:
    from esteira.base.errors import BadInput

    if path is None:
        return ""
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as unreadable:
        raise BadInput(f"the key file {path} cannot be read: {unreadable}") from unreadable
    if not key:
        raise BadInput(f"the key file {path} is empty; write into it what `esteira keys add` showed")
    return key


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[str, float], None]]:
    with console(aside=as_json).status("starting") as status:
        yield lambda what, share: status.update(f"{share:.0%} {what}")


def _write(measured: LoadMeasured, folder: Path) -> Path:
    """The figures as JSON and a drawing of them; the drawing's path."""
    from esteira.base.files import write_atomic
    from esteira.serving.load.charts import serving_chart

    name = _as_file(measured.model)
    best = measured.best
    title = f"{measured.model}: {measured.rows} rows a request, {best.connections} connections"
    throughput = [(point.connections, point.report.throughput) for point in measured.points]
    text = json.dumps(measured.to_plain(), indent=2, ensure_ascii=False) + "\n"
    write_atomic(folder / f"serving-{name}.json", text.encode())
    chart = folder / f"serving-{name}.svg"
    write_atomic(chart, serving_chart(title, best.report.latency, throughput).encode())
    return chart


def _as_file(model: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in model)


def _show(measured: LoadMeasured, written: Path) -> None:
    times = ("p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "overhead p50 ms")
    columns = ("connections", "answers/s", *times, "cores", "MiB", "refused", "failed")
    title = f"Model {measured.model}, {measured.rows} rows a request, {measured.protocol}"
    print_table(title, columns, [_row(point) for point in measured.points])
    what = f"{measured.recorded:,} rows from the prediction log" if measured.recorded else "rows were drawn"
    keys = "with an API key" if measured.has_key else "without API key"
    console().print(f"{what}; {keys}\nJSON and drawing: {written}", markup=False)


def _row(point: Point) -> tuple[object, ...]:
    latency, added = point.report.latency, point.overhead_ms
    times = (f"{latency.quantile(share) * 1000:.3f}" for share in (0.5, 0.9, 0.99, 0.999))
    return (
        point.connections,
        f"{point.report.throughput:,.0f}",
        *times,
        None if added is None else f"{added['p50']:.3f}",
        None if point.cpu_cores is None else f"{point.cpu_cores:.2f}",
        None if point.memory_bytes is None else f"{point.memory_bytes / _MIB:,.0f}",
        f"{point.report.refused:,}",
        f"{point.report.failed:,}",
    )
