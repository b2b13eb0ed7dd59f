from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.stations import HOSTILE

from esteira.web import pages
from esteira.web.words import Words

if TYPE_CHECKING:
    from esteira.project.station import Station

SAY = Words("en")


def test_data_names_every_table_with_its_rows(station: Station) -> None:
    (section,) = pages.data(station, SAY)
    assert [(row[0], row[2]) for row in section.rows] == [
        ("facts", "400"),
        ("labels", "60"),
        ("predictions", "60"),
    ]


def test_runs_stand_newest_first_and_say_why_each_step_ran(station: Station) -> None:
    newest, oldest = pages.runs(station, SAY)
    assert newest.title > oldest.title or newest.title != oldest.title
    assert "seed=8" in newest.text
    assert "facts@0" in newest.text
    assert {row[0] for row in newest.rows} == {"train", "holdout", "model"}
    assert {row[1] for row in newest.rows if row[0] != "model"} == {"cached"}


def test_a_run_took_what_its_steps_took_even_when_the_clock_stands_still(station: Station) -> None:
    oldest = pages.runs(station, SAY)[-1]
    steps = station.journal.steps(oldest.title)
    assert f"· {sum(step.seconds for step in steps):.1f} s ·" in oldest.text


def test_models_show_aliases_gates_and_promotions(station: Station) -> None:
    versions, promotions = pages.models(station, Words("pt-BR"))
    assert [(row[0], row[1]) for row in versions.rows] == [(2, "desafiante"), (1, "campeão")]
    assert "passou" in str(versions.rows[0][3])
    assert [row[1] for row in promotions.rows] == ["desafiante", "campeão"]
    assert promotions.columns[3] == "before"


def test_traffic_shows_the_split_in_words_and_every_day(station: Station) -> None:
    now, days, rollouts = pages.traffic_page(station, SAY)
    assert now.text.startswith("champion v1 95% · challenger v2 5%")
    assert "v2" in days.chart
    assert rollouts.rows[0][1] == "v1 → v2"
    assert 'href="/rollouts/' in str(rollouts.rows[0][4])


def test_performance_leaves_a_gap_where_nothing_is_known(station: Station) -> None:
    (section,) = pages.performance(station, SAY)
    assert section.chart.count('class="line"') == 2
    assert len(section.rows) == 10
    assert section.rows[5][2] == "–"
    assert section.chart.count('class="dot bad"') == 2


def test_drift_ranks_the_newest_window_that_says_something(station: Station) -> None:
    table, only = pages.drift(station, SAY)
    assert table.rows[0][0] == f"x{HOSTILE}"
    assert table.rows[1][1:3] == ("–", "–")  # not enough data is no number
    assert only.title == table.rows[0][0]


def test_a_window_without_data_does_not_hide_the_one_before(empty: Station) -> None:
    from datetime import timedelta

    from tests.web.stations import NOW

    from esteira.project.observations import Observation, Observations

    week = timedelta(days=7)
    seen = Observation("drift", "x", NOW - week, NOW, 1, 0.9, None, None, 0.5, 900, 0, "drifted")
    none = Observation("drift", "x", NOW, NOW + week, 1, 0.0, None, None, 0.0, 3, 0, "not enough data")
    Observations(empty.state).keep([seen, none])
    table, chart = pages.drift(empty, SAY)
    assert table.rows[0][1] == "0.900"
    assert "since then: not enough data" in table.text
    assert chart.chart.count("<circle") == 1


def test_alerts_put_what_fires_first(station: Station, empty: Station) -> None:
    from tests.web.stations import NOW

    observed = [("a", 0.0), ("b", 9.0), ("c", 0.0)]
    for subject, value in observed:
        for day in range(2):
            empty.alerts.observe(
                "drift", subject, value=value + day, enter=5.0, exit=4.0, now=NOW.replace(day=1 + day)
            )
    now, past = pages.alerts(empty, SAY)
    assert [row[1] for row in now.rows] == ["b", "a", "c"]
    assert "tag alarm" in str(now.rows[0][2])
    assert [row[1] for row in pages.alerts(station, SAY)[0].rows][:1] == ["x"]
    assert "firing" in str(past.rows[0][3])


def test_audit_says_whether_the_chain_is_whole(station: Station, empty: Station) -> None:
    (section,) = pages.audit(station, SAY)
    assert section.text == f"The chain is whole: {len(section.rows)} records"
    assert section.rows[0][0] == len(section.rows)
    empty.audit.record("test.act", "thing", reason="first")
    from esteira.base.sqlite import Database

    with Database(empty.settings.store("audit")).transaction() as writer:
        writer.execute("DROP TRIGGER audit_keeps_records")
        writer.execute("UPDATE audit SET reason = 'forged'")
    (broken,) = pages.audit(empty, SAY)
    assert broken.text.startswith("The chain is broken at record 1")
