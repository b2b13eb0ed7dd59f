"""`esteira verify`: is everything what it was when it was written?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.output import print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    del parser  # it takes no options of its own


def run(arguments: Namespace) -> int:
    from esteira.project.station import open_station
    from esteira.project.verifying import verify

    findings = verify(open_station(arguments.folder))
    if arguments.json:
        print_json({"whole": not any(f.problems for f in findings), "findings": list(findings)})
    else:
        print_table(
            "Verified",
            ("what", "checked", "result"),
            ((f.what, f.checked, "; ".join(f.problems or ("whole", *f.under_way))) for f in findings),
        )
    return 1 if any(finding.problems for finding in findings) else 0
