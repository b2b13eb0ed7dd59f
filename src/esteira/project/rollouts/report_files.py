"""The report of a rollout as a page that needs nothing but itself, and as Markdown."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.project.rollouts.report_sections import Part

STYLE = """
:root { --paper: #fbfaf7; --ink: #1d2528; --soft: #5c6a70; --rule: #dcd8cf; --card: #fff; --belt: #0b6e5f;
  --alarm: #b3341f; --v1: #d9822b; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #14191b; --ink: #e8e6e0; --soft: #9aa7ab;
  --rule: #3a4549; --card: #1b2224; --belt: #49bfab; --alarm: #f0836d; --v1: #eaa253; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.2rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; margin: .2rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .6rem; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 1rem;
  margin-bottom: 1rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .6rem 1.2rem;
  margin: .6rem 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.alarm td { color: var(--alarm); }
footer { color: var(--soft); font-size: .85rem; }
svg { width: 100%; height: auto; display: block; margin-bottom: .8rem; }
svg.narrow { display: none; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .axis, svg .mark { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--rule); }
svg .zero { stroke: var(--soft); stroke-width: 1.4; }
svg .line { fill: none; stroke: var(--belt); stroke-width: 2; }
svg .dot, svg .v0 { fill: var(--belt); }
svg .limit { stroke: var(--alarm); stroke-width: 1.4; stroke-dasharray: 5 4; }
svg .band { fill: var(--belt); opacity: .2; }
svg .v1 { fill: var(--v1); }
svg .nothing { fill: none; stroke: var(--rule); }
svg text.on { fill: var(--card); font-weight: 600; }
svg text.on.other { fill: #14191b; }
@media (max-width: 48rem) { body { padding: .8rem; } svg.wide { display: none; }
  svg.narrow { display: block; } }
@media (max-width: 36rem) {
  thead { display: none; }
  table, tbody, tr { display: block; }
  tr { padding: .5rem 0; border-bottom: 1px solid var(--rule); }
  td, td.number { display: flex; gap: .8rem; padding: .1rem 0; border: 0; text-align: left;
    white-space: normal; }
  td::before { content: attr(data-label); flex: 0 0 6.5rem; color: var(--soft); }
}
"""
_DIGEST = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"


def html_report(title: str, parts: Sequence[Part], foot: str, language: str = "en") -> str:
    """One HTML file: light and dark, wide and narrow; it loads nothing and runs nothing."""
    body = "".join(_section(each) for each in parts)
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}<footer>{escape(foot)}</footer></body></html>\n"
    )


def _section(part: Part) -> str:
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(fact)}</dd></div>" for name, fact in part.facts)
    return (
        f'<section id="{part.name}"><h2>{escape(_capital(part.title))}</h2>'
        + "".join(f"<p>{escape(said)}</p>" for said in part.said)
        + (f"<dl>{facts}</dl>" if facts else "")
        + part.drawing
        + (_table(part) if part.rows else "")
        + "</section>\n"
    )


def _table(part: Part) -> str:
    heads = "".join(f"<th{_css(part, at)}>{escape(name)}</th>" for at, name in enumerate(part.columns))
    rows = []
    for place, row in enumerate(part.rows):
        cells = "".join(
            f'<td{_css(part, at)} data-label="{escape(part.columns[at])}">{escape(cell)}</td>'
            for at, cell in enumerate(row)
        )
        rows.append(f'<tr class="alarm">{cells}</tr>' if place in part.alarming else f"<tr>{cells}</tr>")
    inside = f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table>{inside}</table></div>'


def _css(part: Part, column: int) -> str:
    return ' class="number"' if column in part.numbers else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def markdown_report(title: str, parts: Sequence[Part], foot: str) -> str:
    """The same as Markdown, without the drawings."""
    lines = [f"# {_plain(title)}", ""]
    for part in parts:
        lines += [f"## {_plain(_capital(part.title))}", ""]
        for said in part.said:
            lines += [_plain(said), ""]
        lines += [f"- {_plain(name)}: {_plain(fact)}" for name, fact in part.facts]
        if part.facts:
            lines.append("")
        if part.rows:
            lines += [_row(part.columns), _row(["---"] * len(part.columns), is_rule=True)]
            lines += [*map(_row, part.rows), ""]
    return "\n".join((*lines, _plain(foot), ""))


def _row(cells: Sequence[str], *, is_rule: bool = False) -> str:
    return f"| {' | '.join(cells if is_rule else map(_plain, cells))} |"


_MARKS = {ord(mark): f"\\{mark}" for mark in "\\`*_[]<>|#"}


def _plain(text: str) -> str:
    """A text whose signs mean nothing in Markdown, on one line."""
    return " ".join(text.split()).translate(_MARKS)
