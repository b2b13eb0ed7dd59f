from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.web.stations import HOSTILE

from esteira.base.errors import UnknownName
from esteira.project.catalog import Origin, entry_of, find_view
from esteira.web.features import _columns, _whole, feature_view, features
from esteira.web.words import Words

if TYPE_CHECKING:
    from esteira.project.station import Station

SAY = Words("en")


def test_every_view_stands_there_with_state_freshness_and_distributions(station: Station) -> None:
    views, drawing = features(station, Words("pt-BR"))
    (row,) = views.rows
    link, state, event, rows, charts, keys, about = row
    assert link == '<a href="/features/latest?lang=pt-BR">latest</a>'
    assert state == '<span class="tag">novo</span>'
    assert event == "<time>2020-02-17 15:00</time>"
    assert (rows, keys, about) == ("400", "", f"the newest x {HOSTILE}")
    assert str(charts).count('class="spark"') == 2
    assert drawing.chart.count("facts") == 4  # name and title, drawn twice


def test_before_the_first_rows_there_is_no_chart(empty: Station) -> None:
    views, drawing = features(empty, SAY)
    assert views.rows[0][2:5] == ("", "", "")
    assert "latest" in drawing.chart


def test_a_view_tells_its_facts_its_lineage_and_its_statistics(station: Station) -> None:
    about, drawing, told = feature_view(station, SAY, "latest")
    facts = dict(about.facts)
    assert about.text == f"the newest x {HOSTILE}"
    assert (facts["source"], facts["holds for"]) == ("facts@0, 400 rows", "1 h")
    assert facts["newest known"] == facts["newest event"] == "<time>2020-02-17 15:00</time>"
    assert "models" not in facts  # no version reads it
    assert "facts.x" in drawing.chart
    assert [row[0] for row in told.rows] == ["x", "y"]
    assert told.rows[1][2:5] == ("int8", "0.0%", "2")
    assert told.rows[1][7:] == ("0", told.rows[1][8], "1")
    with pytest.raises(UnknownName):
        feature_view(station, SAY, "nobody")


def test_what_is_known_of_an_empty_view_is_told_and_nothing_else(empty: Station) -> None:
    about, _, told = feature_view(empty, Words("pt-BR"), "latest")
    assert dict(about.facts)["fonte"] == "facts"
    assert "evento mais novo" not in dict(about.facts)
    assert told.rows == []


def test_the_newest_versions_of_the_model_are_drawn_and_measures_are_named(station: Station) -> None:
    entry = entry_of(station, find_view(station, "latest"))
    many = replace(
        entry, models=(9, 8, 7, 6, 5), origins=(Origin("x", "facts", ""), Origin("y", "facts", "y", "mean"))
    )
    for drawn in (_whole([many], "tiny", SAY), _columns(many, "tiny", Words("pt-BR"))):
        assert "tiny v9" in drawn
        assert "tiny v5" not in drawn
    assert "média" in _columns(many, "tiny", Words("pt-BR"))
