from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import CorruptArtifact
from esteira.serving.streams.frames import frames, pack, refuse_damaged, size_of_next

GROUPS = st.lists(
    st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=20)), min_size=1, max_size=4), max_size=5
)


@given(GROUPS, st.integers(0, 2**60), st.integers(-(2**60), 2**60))
def test_what_was_packed_comes_back_with_its_place(
    groups: list[list[tuple[str, bytes]]], first: int, at: int
) -> None:
    content, places = b"", []
    for group in groups:
        places.append(first)
        content += pack(first, at, group)
        first += len(group)
    found = [*frames(content)]
    assert [frame.messages() for frame in found] == groups
    assert [(frame.first, frame.at) for frame in found] == [(place, at) for place in places]
    assert (found[-1].end if found else 0) == len(content)


@given(GROUPS.filter(bool), st.data())
def test_a_frame_that_was_cut_off_is_a_torn_end_and_the_ones_before_are_whole(
    groups: list[list[tuple[str, bytes]]], data: st.DataObject
) -> None:
    packed = [pack(number, 0, group) for number, group in enumerate(groups)]
    cut = data.draw(st.integers(0, len(packed[-1]) - 1))
    content = b"".join(packed[:-1]) + packed[-1][:cut]
    assert [frame.messages() for frame in frames(content)] == groups[:-1]
    refuse_damaged("0.log", packed[-1][:cut])


@given(GROUPS.filter(bool), st.data())
def test_a_changed_byte_is_never_taken_for_a_message(
    groups: list[list[tuple[str, bytes]]], data: st.DataObject
) -> None:
    packed = [pack(number, 0, group) for number, group in enumerate(groups)]
    changed = bytearray(b"".join(packed))
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= data.draw(st.integers(1, 255))
    found = [frame.messages() for frame in frames(bytes(changed))]
    assert found == groups[: len(found)]
    assert len(found) < len(groups)


def test_damage_before_other_messages_is_told_from_a_torn_end() -> None:
    one, two = pack(0, 0, [("", b"one")]), pack(1, 0, [("", b"two")])
    damaged = one[:-1] + b"!"
    with pytest.raises(CorruptArtifact, match="another check sum"):
        refuse_damaged("0.log", damaged + two)
    refuse_damaged("0.log", damaged)
    refuse_damaged("0.log", bytes(500))
    refuse_damaged("0.log", b"")
    assert size_of_next(one + two) == len(one)
    assert (size_of_next(b""), size_of_next(bytes(50))) == (0, 0)
