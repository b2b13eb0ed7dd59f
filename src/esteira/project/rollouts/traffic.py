"""What both versions of a rollout did, as the gateway logged it: read from the tables, no model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.monitoring.failure_log import FAILURES, SHADOW_FAILURES
from esteira.monitoring.prediction_log import LABELS, PREDICTIONS, SHADOWS
from esteira.project.release import CHALLENGER, CHAMPION
from esteira.project.rollouts.log import RolloutLog, in_step, of_arm, seen
from esteira.serving.rollout.evidence import Agreement, ArmSeen, Split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout

SOURCES = (PREDICTIONS, LABELS, SHADOWS, FAILURES, SHADOW_FAILURES)  # tables that are read
_COMPARED = 2_000  # newest answers of a shadow that are compared with those that callers got


@dataclass(frozen=True, slots=True)
class Dealt:
    """What was dealt under one split: requests that were answered, and the keys that they came with."""

    share: float  # of the challenger, as it was intended
    since: datetime
    champion: int  # requests
    challenger: int
    keys: Split


@dataclass(frozen=True, slots=True, eq=False)
class RolloutTraffic:
    """Both versions since the rollout began, up to `until`."""

    until: datetime
    champion: ArmSeen
    challenger: ArmSeen
    dealt: tuple[Dealt, ...]  # oldest first; where all or nothing was intended, too
    asked_in_step: int  # requests of the challenger, answered or not
    labelled_in_step: int  # predictions that count as evidence
    labelled: int
    agreement: Agreement | None = None  # of a shadow with what callers got


def traffic_of(station: Station, rollout: Rollout, until: datetime) -> RolloutTraffic:
    """What is in the tables of a rollout up to `until`. Raises: CorruptArtifact."""
    log = RolloutLog(station, rollout)
    rows, failed = log.answers(until), log.failures(until)
    mine, other = of_arm(rows, CHALLENGER), of_arm(rows, CHAMPION)
    my_failures, usual = of_arm(failed, CHALLENGER), other
    if not rollout.plan.mirrored and rollout.plan.ladder[max(rollout.step, 0)] == 1:
        usual = pa.concat_tables([log.before(), other])  # the champion gets no traffic any more
    labelled = (mine if rollout.plan.mirrored else rows).filter(pc.field("label").is_valid())
    return RolloutTraffic(
        until=until,
        champion=seen(usual, of_arm(failed, CHAMPION)),
        challenger=seen(mine, my_failures),
        dealt=_dealt(station, rollout, mine, other),
        asked_in_step=in_step(mine, rollout) + in_step(my_failures, rollout),
        labelled_in_step=in_step(labelled, rollout),
        labelled=labelled.num_rows,
        agreement=_agreement(mine, other, rollout) if rollout.plan.mirrored else None,
    )


def _dealt(station: Station, rollout: Rollout, mine: pa.Table, other: pa.Table) -> tuple[Dealt, ...]:
    """One for each revision of the routes under which both were dealt requests."""
    if rollout.plan.mirrored:
        return ()
    found: Sequence[int] = sorted(
        {*pc.unique(mine["revision"]).to_pylist(), *pc.unique(other["revision"]).to_pylist()}
    )
    dealt = []
    for revision in found:
        routes = station.routes.get(rollout.model, revision)
        arms = () if routes is None else routes.arms
        share = next((arm.share for arm in arms if arm.version == rollout.challenger_version), None)
        if share is None:
            continue  # from before the rollout or after it
        parts = [each.filter(pc.equal(each["revision"], revision)) for each in (other, mine)]
        keys = [pc.count_distinct(each["key"]).as_py() for each in parts]
        since = min(pc.min(each["at"]).as_py() for each in parts if each.num_rows)
        counts = [each.num_rows for each in parts]
        dealt.append(Dealt(share, since, counts[0], counts[1], Split(keys[0], keys[1], share)))
    return tuple(dealt)


def _agreement(mine: pa.Table, other: pa.Table, rollout: Rollout) -> Agreement | None:
    """On how many of the newest requests the shadow said what the caller got."""
    mine = mine.sort_by([("at", "descending"), ("id", "ascending")]).slice(0, _COMPARED)
    place = pc.index_in(mine["id"], value_set=other["id"].combine_chunks())
    said = other["score"].take(place.drop_null()).to_numpy()
    mine = mine.filter(pc.is_valid(place))
    if not len(said):
        return None
    threshold = rollout.plan.threshold
    same = (mine["score"].to_numpy() >= threshold) == (said >= threshold)
    return Agreement(int(np.count_nonzero(same)), len(same))
