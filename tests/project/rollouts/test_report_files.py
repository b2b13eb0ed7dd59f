from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

from esteira.project.rollouts.report_files import html_report, markdown_report
from esteira.project.rollouts.report_sections import Part

HOSTILE = "<script>alert('x')</script> | *a* [b](c)"
PARTS = [
    Part("verdict", "verdict", [HOSTILE], [("who", HOSTILE)]),
    Part(
        "guards",
        "Guards",
        (),
        (),
        "<svg></svg>",
        ("guard", "seen"),
        [("errors", "1"), (HOSTILE, "2")],
        (1,),
        (1,),
    ),
]


class Reader(HTMLParser):
    """Every mark with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.marks: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.marks.append((tag, dict(attrs)))


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    text = html_report("a title", PARTS, "a foot")
    marks = Reader(text).marks
    assert not {"script", "link", "img", "iframe", "form"} & {tag for tag, _ in marks}
    assert not [each for _, attributes in marks for each in attributes if each in {"src", "href", "style"}]
    assert "url(" not in text


def test_a_page_allows_its_own_style_and_nothing_else() -> None:
    text = html_report("a title", PARTS, "a foot")
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    style = re.search("<style>(.*)</style>", text, re.DOTALL)
    assert policy is not None
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert unescape(policy[1]).startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_hostile_words_stay_words_in_a_page() -> None:
    text = html_report(HOSTILE, PARTS, HOSTILE)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 6


def test_a_page_names_each_value_of_a_narrow_table_and_colours_what_alarms() -> None:
    marks = Reader(html_report("a title", PARTS, "a foot", "pt-BR")).marks
    cells = [attributes.get("data-label") for tag, attributes in marks if tag == "td"]
    assert cells == ["guard", "seen"] * 2
    assert [attributes.get("class") for tag, attributes in marks if tag == "tr"] == [None, None, "alarm"]
    assert ("html", {"lang": "pt-BR"}) in marks


def test_hostile_words_stay_words_in_markdown() -> None:
    text = markdown_report("a title", PARTS, "a foot")
    assert "<script" not in re.sub(r"\\.", "", text)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert r"\*a\* \[b\](c)" in text


def test_markdown_has_every_section_with_its_facts() -> None:
    text = markdown_report("a title", PARTS, "a foot")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# a title", "## Verdict", "## Guards"]
    assert "| errors | 1 |" in text
    assert text.endswith("a foot\n")
