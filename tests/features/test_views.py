"""What a feature view may be."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from esteira.features.views import FeatureView, WrongView
from esteira.features.windows.measures import Count, Mean, Sum
from esteira.features.windows.sliding import Window
from esteira.registry.signature import ViewRef

HOUR = timedelta(hours=1)
WINDOW = Window(("k",), "at", 2 * HOUR, HOUR, {"n": Count(), "late": Mean("late")})


def test_a_view_knows_its_columns_and_its_reference() -> None:
    view = FeatureView("v", ("k", "l"), ("f", "g"), "t", ttl=HOUR)
    assert view.columns == ("v__f", "v__g")
    assert view.ref() == ViewRef("v", ("k", "l"), ("f", "g"), 3_600_000_000)
    assert FeatureView("v", (), ("f",), "t").ref().ttl_us is None
    assert FeatureView("v", (), ("f",), "t", ttl=timedelta(0)).ref().ttl_us == 0


def test_a_later_version_has_names_of_its_own_so_that_both_can_serve() -> None:
    view = FeatureView("v", ("k",), ("f",), "t", version=3)
    assert (view.columns, view.ref().name) == (("v_v3__f",), "v_v3")


@pytest.mark.parametrize("name", ["", "a__b", "a_", "_a", "a b", "a.b", "é", "weather_v2", "1a"])
def test_a_name_that_could_be_mistaken_for_another_is_refused(name: str) -> None:
    with pytest.raises(WrongView, match="a name is made of"):
        FeatureView(name, ("k",), ("f",), "t")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"keys": "k"}, "keys must be a tuple of names"),
        ({"keys": ["k"]}, "keys must be a tuple"),
        ({"keys": (1,)}, "keys must be a tuple of names"),
        ({"features": "f"}, "features must be a tuple"),
        ({"features": ("f", "f")}, "features must differ"),
        ({"keys": ("k", "k")}, "keys must differ"),
        ({"features": ()}, "it has no features"),
        ({"ttl": timedelta(microseconds=-1)}, "is negative"),
        ({"version": 0}, "versions count from 1"),
        ({"window": WINDOW, "keys": ("l",)}, "are not those of its window"),
        ({"window": WINDOW, "features": ("lat",)}, "did you mean 'late'"),
        ({"window": WINDOW, "features": ("n",), "created_time": "c"}, "no created time"),
        ({"window": WINDOW, "features": ("n",), "event_time": "at"}, "leave out event_time"),
    ],
)
def test_a_view_that_cannot_mean_anything_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongView, match=said):
        FeatureView(**{"name": "v", "keys": ("k",), "features": ("f",), "source": "t"} | changed)


def test_a_windowed_view_has_the_measures_of_its_window_as_features() -> None:
    assert FeatureView("v", ("k",), ("late",), "t", window=WINDOW).columns == ("v__late",)


def test_a_view_knows_by_which_column_its_rows_or_its_events_became_known() -> None:
    plain = FeatureView("v", ("k",), ("f",), "t", created_time="published")
    assert plain.known_by == "published"
    assert FeatureView("v", ("k",), ("late",), "t", window=WINDOW).known_by is None
    known = replace(WINDOW, created="published")
    assert FeatureView("v", ("k",), ("late",), "t", window=known).known_by == "published"


def test_everything_that_decides_the_features_is_in_the_definition() -> None:
    def view(**changed: Any) -> FeatureView:
        window = Window(
            ("k",), "at", changed.pop("length", HOUR), HOUR, {"f": changed.pop("measure", Sum("x"))}
        )
        return FeatureView(
            **{"name": "v", "keys": ("k",), "features": ("f",), "source": "t", "window": window} | changed
        )

    different: list[dict[str, Any]] = [
        {},
        {"name": "w"},
        {"source": "s"},
        {"ttl": HOUR},
        {"version": 2},
        {"length": 2 * HOUR},
        {"measure": Mean("x")},
        {"measure": Sum("y")},
        {"window": None},
        {"window": None, "event_time": "e"},
        {"window": None, "created_time": "c"},
    ]
    texts = [json.dumps(view(**changed).definition(), sort_keys=True) for changed in different]
    assert len(set(texts)) == len(different)
    assert texts[0] == json.dumps(view().definition(), sort_keys=True)
