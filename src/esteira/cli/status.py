"""`esteira status`: what serves, what alarms, what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.output import print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    del parser  # it takes no options of its own


def run(arguments: Namespace) -> int:
    from esteira.project.overview import overview
    from esteira.project.station import open_station

    seen = overview(open_station(arguments.folder))
    if arguments.json:
        print_json(seen)
        return 0
    split = "nothing yet; deploy a version with: esteira deploy VERSION"
    if seen.routes is not None:
        split = ", ".join(f"version {arm.version} {arm.share:.0%}" for arm in seen.routes.arms)
    rolling = "none under way"
    if seen.rollout is not None:
        rolling = f"version {seen.rollout.challenger_version}, {seen.rollout.standing}: {seen.rollout.reason}"
    run_state = "none yet; make one with: esteira run"
    if seen.last_run is not None:
        run_state = f"{seen.last_run.id}, {seen.last_run.status}"
    rows = [
        ("now", f"{seen.now:%Y-%m-%d %H:%M} UTC"),
        ("serves", split),
        ("rollout", rolling),
        ("last run", run_state),
        ("predictions", f"{seen.predictions:,}, {seen.labels:,} labels"),
        ("audit", f"{seen.audit_records:,} records"),
    ]
    rows += [
        (f"alert: {a.monitor} {a.subject}", f"{a.state} since {a.since:%Y-%m-%d}: {a.message}")
        for a in seen.alerts
    ]
    rows += [
        (
            f"table {t.version.table}",
            f"version {t.version.version}, {t.version.rows:,} rows, {t.quarantined:,} in quarantine",
        )
        for t in seen.tables
    ]
    print_table(seen.project, ("what", "state"), rows)
    return 0
