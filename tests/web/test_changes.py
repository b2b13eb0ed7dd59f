from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.web.stations import NOW

from esteira.base.records import AuditEvent
from esteira.serving.routes import Arm, Routes
from esteira.web.changes import LOAD, SET, UNLOAD, changes, merged

if TYPE_CHECKING:
    from esteira.project.station import Station


def routes(revision: int, share: float = 1.0) -> Routes:
    arms = [Arm("champion", 1, "aa", share)]
    if share < 1:
        arms.append(Arm("challenger", 2, "bb", 1 - share))
    return Routes("tiny", tuple(arms), revision=revision)


def record(seq: int, action: str = SET, share: float = 1.0) -> AuditEvent:
    shares = {f"{arm.name}:{arm.version}": arm.share for arm in routes(0, share).arms}
    facts = {"shares": shares} if action == SET else {}
    return AuditEvent(seq, NOW, "ana", action, "model/tiny", "because", facts, "", "")


def test_each_revision_stands_with_who_made_it_and_why() -> None:
    found = merged([routes(2, 0.9), routes(1)], [record(2, share=0.9), record(1)])
    assert [(each.routes and each.routes.revision, each.record and each.record.seq) for each in found] == [
        (2, 2),
        (1, 1),
    ]


def test_a_record_whose_change_was_cut_off_belongs_to_no_revision() -> None:
    found = merged([routes(2, 0.9), routes(1)], [record(3, share=0.9), record(2, share=0.5), record(1)])
    assert [each.record and each.record.seq for each in found] == [3, 1]


def test_a_revision_without_a_record_is_told_all_the_same() -> None:
    (only,) = merged([routes(1)], [])
    assert (only.action, only.at, only.record) == (SET, None, None)


def test_loads_and_unloads_stand_where_they_happened() -> None:
    records = [record(5, UNLOAD), record(4, share=0.9), record(3, LOAD), record(2, UNLOAD), record(1)]
    found = merged([routes(2, 0.9), routes(1)], records)
    assert [each.action for each in found] == [UNLOAD, SET, LOAD, UNLOAD, SET]


@given(st.lists(st.tuples(st.sampled_from([1.0, 0.9, 0.5]), st.booleans()), max_size=12))
def test_every_revision_is_told_once_and_never_with_the_record_of_other_shares(
    made: list[tuple[float, bool]],
) -> None:
    revisions = [routes(at + 1, share) for at, (share, _) in enumerate(made)]
    records = [record(at + 1, share=share) for at, (share, is_recorded) in enumerate(made) if is_recorded]
    found = merged(revisions[::-1], records[::-1])
    assert [each.routes.revision for each in found if each.routes] == list(range(len(made), 0, -1))
    for each in found:
        if each.record and each.routes:
            assert each.record.facts == record(0, share=each.routes.champion.share).facts
    told = [each.record.seq for each in found if each.record]
    assert told == sorted(set(told), reverse=True)


def test_a_project_that_lived_tells_its_changes(station: Station) -> None:
    newest, first = changes(station.routes, station.audit, "tiny")
    assert newest.record is not None
    assert newest.record.reason.startswith("looks better")
    assert first.routes is not None
    assert (first.routes.revision, len(first.routes.arms)) == (1, 1)
    assert len(changes(station.routes, station.audit, "tiny", newest=1)) == 1
    assert changes(station.routes, station.audit, "nobody") == []
