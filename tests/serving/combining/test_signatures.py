from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.features.transforms.on_demand import on_demand
from esteira.registry.columns import Column
from esteira.registry.signature import Signature, ViewRef
from esteira.serving.combining.signatures import NotJoinable, joint_signature

WEATHER = ViewRef("weather", ("origin",), ("visib",), 10)


def joined(*signatures: Signature) -> Signature:
    return joint_signature({f"m{n}": each for n, each in enumerate(signatures)}, "late")


def of(*columns: Column, **more: object) -> Signature:
    return Signature(columns, "late", **more)


COLUMNS = st.lists(
    st.builds(
        lambda name, categories, optional: Column(
            name, "category" if name in "ab" else "number", categories if name in "ab" else (), "", optional
        ),
        st.sampled_from("abcd"),
        st.lists(st.sampled_from("xyz"), unique=True).map(tuple),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda column: column.name,
).map(lambda columns: of(*columns))


@given(st.lists(COLUMNS, min_size=1, max_size=4))
def test_every_member_finds_its_columns_and_categories_and_none_is_made_up(members: list[Signature]) -> None:
    joint = joined(*members)
    assert len(set(joint.names)) == len(joint.names)
    assert set(joint.names) == {name for each in members for name in each.names}
    for column in joint.columns:
        asked = [c for each in members for c in each.columns if c.name == column.name]
        assert set(column.categories) == {name for c in asked for name in c.categories}
        assert column.optional == all(c.optional for c in asked)


def test_one_member_alone_keeps_its_signature() -> None:
    alone = of(Column("miles"), Column("weather__visib", view="weather"), views=(WEATHER,))
    assert joined(alone) == alone


def test_features_of_one_view_that_several_ask_for_are_read_together() -> None:
    gust = ViewRef("weather", ("origin",), ("gust", "visib"), 10)
    one = of(Column("weather__visib", view="weather"), views=(WEATHER,))
    other = of(Column("origin", "category", ("JFK",)), Column("weather__gust", view="weather"), views=(gust,))
    joint = joined(one, other)
    assert joint.views == (ViewRef("weather", ("origin",), ("visib", "gust"), 10),)
    assert joint.names == ("weather__visib", "origin", "weather__gust")
    assert (joint.keys, joined(one).keys) == ((), ("origin",))


@on_demand(inputs={"miles": float, "hour": float})
def pace(miles: float, hour: float) -> dict[str, float]:
    return {"slow": miles / (hour + 1), "late": hour - 12}


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            of(Column("a")),
            of(Column("a", "category", ("x",))),
            "column 'a' .* 'm0' and 'm1': a number in one",
        ),
        (of(Column("w__a")), of(Column("w__a", view="w")), "from no view in one, from w in the other"),
        (
            of(views=(WEATHER,)),
            of(views=(ViewRef("weather", ("origin",), ("visib",), 99),)),
            "feature view 'weather' .* TTL 10 in one",
        ),
        (of(views=(WEATHER,)), of(views=(ViewRef("weather", ("dest",), ("visib",), 10),)), "keys"),
    ],
)
def test_what_is_not_the_same_under_one_name_is_refused(one: Signature, other: Signature, said: str) -> None:
    with pytest.raises(NotJoinable, match=said):
        joined(one, other)


def test_a_transform_that_all_compute_alike_is_computed_once_and_another_is_refused() -> None:
    whole = of(
        Column("hour"),
        Column("pace__slow", transform="pace"),
        Column("pace__late", transform="pace"),
        derived=(pace.derived,),
        inputs=(Column("miles"),),
    )
    reads = of(Column("miles", optional=True), Column("carrier", "category", ("UA",)))
    joint = joined(whole, reads)
    assert (joint.derived, joint.inputs) == ((pace.derived,), ())
    assert [c.name for c in joint.request_columns] == ["hour", "miles", "carrier"]
    assert not joint.columns[joint.names.index("miles")].optional  # the transform needs it
    assert joined(whole, whole) == whole
    part = of(
        Column("pace__late", transform="pace"),
        derived=(pace.derived.only(("pace__late",)),),
        inputs=(Column("hour"),),
    )
    with pytest.raises(NotJoinable, match="transform 'pace'"):
        joined(whole, part)
