"""The report of a rollout, written down: a page, a text and JSON in the rollout's own folder."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from esteira.base.files import write_atomic
from esteira.project.rollouts.plan_words import English
from esteira.project.rollouts.report import plain, report_of
from esteira.project.rollouts.report_files import html_report, markdown_report
from esteira.project.rollouts.report_sections import parts_of

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.rollouts.plan_words import Say
    from esteira.project.rollouts.report import RolloutReport
    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout

log = logging.getLogger(__name__)

KINDS = ("html", "md", "json")


def write_report(station: Station, rollout_id: str) -> Path:
    """Write `.esteira/rollouts/ID/report.html`, `.md` and `.json` anew; gives the path of the page.

    A rollout that is under way is reported as it stands. Raises: NotFound, CorruptArtifact,
    StorageUnwritable.
    """
    report = report_of(station, rollout_id)
    folder = _folder(station, report.rollout.id)
    for kind in KINDS:
        write_atomic(folder / f"report.{kind}", report_text(report, kind).encode())
    return folder / "report.html"


def has_report(station: Station, rollout: Rollout) -> bool:
    """Whether the report of a rollout was written when it already stood where it stands."""
    try:
        found = json.loads(
            (_folder(station, rollout.id) / "report.json").read_bytes()
        )  # the last to be written
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("state") == rollout.state


def _folder(station: Station, rollout_id: str) -> Path:
    return station.settings.home / "rollouts" / rollout_id


def keep_report(station: Station, rollout_id: str) -> None:
    """Write the report of a rollout that has ended; one that cannot be written is logged and stops nobody."""
    try:
        write_report(station, rollout_id)
    except Exception:  # whatever breaks, what serves must be brought to where the rollout ended
        log.exception("the report of a rollout could not be written", extra={"rollout": rollout_id})


def report_text(report: RolloutReport, kind: str, say: Say | None = None, language: str = "en") -> str:
    """The report as the text of one kind of file: html, md or json. Raises: KeyError (no such kind)."""
    if kind == "json":
        return json.dumps(plain(report), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    say, rollout = say or English(), report.rollout
    title = say("Rollout of {model}: v{challenger} against v{champion}").format(
        model=rollout.model, challenger=rollout.challenger_version, champion=rollout.champion_version
    )
    foot = f"{rollout.id} · {say('up to')} {report.at:%Y-%m-%d %H:%M} UTC"
    parts = parts_of(report, say)
    if kind == "md":
        return markdown_report(title, parts, foot)
    return {"html": html_report}[kind](title, parts, foot, language)
