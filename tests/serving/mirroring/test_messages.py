from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.mirroring.lines import NEXT

from esteira.serving.mirroring.messages import (
    ASKED,
    HELD,
    TARGETS,
    TOLD,
    Frames,
    Held,
    Mirrored,
    Told,
    of_asked,
    of_held,
    of_targets,
    of_told,
)
from esteira.serving.runtimes.frames import HEADER, LARGEST, MalformedFrame

MIRRORED = Mirrored((("next", 2),), "late", "oip", None, b"\x00{}", "f1", "k", 5, 7)
MESSAGES = [
    (TARGETS, [NEXT], of_targets([NEXT])),
    (ASKED, [MIRRORED, MIRRORED._replace(id="f2", header="3")], None),
    (TOLD, [Told("late", 2, 5, 1)], of_told([Told("late", 2, 5, 1)])),
    (HELD, [Held(NEXT, True)], of_held([Held(NEXT, True)])),  # noqa: FBT003 - a field
]


@given(cuts=st.lists(st.integers(1, 400), max_size=12))
def test_what_comes_in_any_pieces_is_put_together_as_it_was(cuts: list[int]) -> None:
    asked = of_asked([MIRRORED, MIRRORED._replace(id="f2", header="3")])
    whole = b"".join(asked if frame is None else frame for _, _, frame in MESSAGES)
    frames, found, at = Frames(), [], 0
    for cut in [*cuts, len(whole)]:
        found += frames.feed(whole[at : at + cut])
        at += cut
    assert found == [(kind, message) for kind, message, _ in MESSAGES]
    assert [type(each) for each in found[1][1]] == [Mirrored, Mirrored]


@pytest.mark.parametrize(
    "wrong", [b"?" + bytes(8), HEADER.pack(TOLD, LARGEST + 1), HEADER.pack(TOLD, 1) + b"\xc1"]
)
def test_what_is_no_message_is_refused(wrong: bytes) -> None:
    with pytest.raises(MalformedFrame):
        list(Frames().feed(wrong))
