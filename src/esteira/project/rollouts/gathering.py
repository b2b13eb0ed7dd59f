"""The evidence of a rollout, gathered from what the gateway logged and the labels that came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.project.known_answers import differing
from esteira.project.release import CHALLENGER, CHAMPION
from esteira.project.rescoring import Rescorer
from esteira.project.rollouts.admission import checks
from esteira.project.rollouts.log import RolloutLog, in_step, of_arm, seen
from esteira.serving.rollout.evidence import Agreement, Evidence, Split
from esteira.serving.rollout.losses import paired_losses, weighed_outcomes

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout

_RESCORED = 2_000  # newest answers that are compared, at a look, with what their model says offline


class EvidenceGatherer:
    """Both models since a rollout began; each labelled row is scored once.

    Of a challenger that asks for a column that the champion does not know, only its own answers count.
    What it remembers can be read again from the tables, so a restart loses time only.
    """

    def __init__(self, station: Station, rollout: Rollout) -> None:
        self._station, self.rollout_id = station, rollout.id
        self._log = RolloutLog(station, rollout)
        self._rescorer = Rescorer(station)
        self._known: dict[
            str, tuple[int, float, int]
        ] = {}  # prediction id → when, difference, its key's number
        self._keys: dict[str, int] = {}
        self._shares: dict[int, float] = {}  # of the challenger, by the revision of the routes
        self._broken: list[str] | None = None  # what the checks after the deployment found
        self._compared: set[str] = set()  # answers that were what their model says offline

    def gather(self, rollout: Rollout, now: datetime) -> Evidence:
        """The evidence up to now. Raises: NotFound, CorruptArtifact."""
        rows, failed = self._log.answers(now), self._log.failures(now)
        mine, other = of_arm(rows, CHALLENGER), of_arm(rows, CHAMPION)
        my_failures, other_failures = of_arm(failed, CHALLENGER), of_arm(failed, CHAMPION)
        if not rollout.plan.mirrored and rollout.share == 1:  # the champion gets no traffic any more
            other = pa.concat_tables([self._log.before(), other])
        self._learn(rows, rollout)
        known = np.array(list(self._known.values()), dtype=np.float64).reshape(-1, 3)
        return Evidence(
            step=rollout.step,
            started_at=rollout.started_at,
            step_since=rollout.step_since,
            now=now,
            at=known[:, 0].astype(np.int64),
            differences=known[:, 1],
            keys=known[:, 2].astype(np.int64),
            champion=seen(other, other_failures),
            challenger=seen(mine, my_failures),
            asked_in_step=in_step(mine, rollout) + in_step(my_failures, rollout),
            split=self._split(rows, rollout),
            agreement=self._agreement(rows, mine, rollout),
            broken=(*self._checks(rollout), *self._odd(mine, rows, rollout)),
        )

    # ── what labels say ─────────────────────────────────────────────────────────────────────────────────

    def _learn(self, rows: pa.Table, rollout: Rollout) -> None:
        labelled = rows.filter(pc.is_valid(rows["label"]))
        if rollout.plan.mirrored:  # each request stands there twice
            labelled = of_arm(labelled, CHALLENGER)
        fresh = [i for i, each in enumerate(labelled["id"].to_pylist()) if each not in self._known]
        if not fresh:
            return
        labelled = labelled.take(fresh)
        if not rollout.plan.is_paired:
            self._weigh(labelled, rollout)
        elif rollout.plan.mirrored:
            self._pair_logged(labelled, rows, rollout)
        else:
            self._pair_rescored(labelled, rollout)

    def _weigh(self, rows: pa.Table, rollout: Rollout) -> None:
        """Outcomes of whoever answered, by the chance that it was asked."""
        share = np.array([self._share_at(each, rollout) for each in rows["revision"].to_pylist()])
        is_dealt = (share > 0) & (share < 1)
        rows, share = rows.filter(pa.array(is_dealt)), share[is_dealt]
        is_challenger = rows["version"].to_numpy() == rollout.challenger_version
        outcomes = np.nan_to_num(rows["label"].to_numpy(), nan=0.0)
        self._remember(rows, weighed_outcomes(outcomes, is_challenger, share))

    def _share_at(self, revision: int, rollout: Rollout) -> float:
        if revision not in self._shares:
            routes = self._station.routes.get(rollout.model, revision)
            arms = routes.arms if routes is not None else ()
            self._shares[revision] = sum(arm.share for arm in arms if arm.name == CHALLENGER)
        return self._shares[revision]

    def _pair_logged(self, mine: pa.Table, rows: pa.Table, rollout: Rollout) -> None:
        """Scores that both gave, the champion to the caller and the challenger in its shadow."""
        other = of_arm(rows, CHAMPION)
        place = pc.index_in(mine["id"], value_set=other["id"].combine_chunks())
        has_both = pc.is_valid(place)
        mine, scores = mine.filter(has_both), other["score"].take(place.drop_null())
        self._lose(mine, scores.to_numpy(), mine["score"].to_numpy(), rollout)

    def _pair_rescored(self, rows: pa.Table, rollout: Rollout) -> None:
        """Scores of both on what either was asked."""
        rows = self._shared(rows, rollout)
        if rows.num_rows:
            rows = self._log.with_vectors(rows)
            champion = self._rescorer.scores(rows, rollout.champion_version)
            challenger = self._rescorer.scores(rows, rollout.challenger_version)
            self._lose(rows, champion, challenger, rollout)

    def _shared(self, rows: pa.Table, rollout: Rollout) -> pa.Table:
        """The rows that both can score."""
        pair, by = (rollout.champion_version, rollout.challenger_version), rows["version"].to_numpy()
        shared = [
            each
            for each in np.unique(by).tolist()
            if all(self._rescorer.can_score(each, number) for number in pair)
        ]
        return rows.filter(pa.array(np.isin(by, shared)))

    def _lose(
        self, rows: pa.Table, champion: NDArray[np.float64], challenger: NDArray[np.float64], rollout: Rollout
    ) -> None:
        plan, labels = rollout.plan, rows["label"].to_numpy()
        found = paired_losses(labels, champion, challenger, plan.metric, plan.costs_of())
        # Where the champion gave no number, or the label is none, nothing speaks against the challenger.
        self._remember(rows, np.where(np.isfinite(champion) & np.isfinite(labels), found, 0.0))

    def _remember(self, rows: pa.Table, found: NDArray[np.float64]) -> None:
        at, keys = rows["at"].cast("int64").to_pylist(), rows["key"].to_pylist()
        numbers = [self._keys.setdefault(key, len(self._keys)) for key in keys]
        known = zip(at, found.tolist(), numbers, strict=True)
        self._known |= dict(zip(rows["id"].to_pylist(), known, strict=True))

    # ── what the answers are like ───────────────────────────────────────────────────────────────────────

    def _split(self, rows: pa.Table, rollout: Rollout) -> Split | None:
        """The keys that the split of this step has dealt."""
        routes = self._station.routes.get(rollout.model)
        if routes is None or not 0 < rollout.share < 1 or rollout.plan.mirrored:
            return None
        if self._share_at(routes.revision, rollout) != rollout.share:
            return None  # the routes are not where the rollout stands
        dealt = rows.filter(pc.equal(rows["revision"], routes.revision))
        arms = (of_arm(dealt, name) for name in (CHAMPION, CHALLENGER))
        champion, challenger = (pc.count_distinct(each["key"]).as_py() for each in arms)
        return Split(champion, challenger, rollout.share)

    def _agreement(self, rows: pa.Table, mine: pa.Table, rollout: Rollout) -> Agreement | None:
        """On how many of the newest requests both say the same."""
        plan = rollout.plan
        if plan.min_agreement is None or not mine.num_rows:
            return None
        mine = mine.sort_by([("at", "descending"), ("id", "ascending")]).slice(0, _RESCORED)
        if plan.mirrored:
            other = of_arm(rows, CHAMPION)
            place = pc.index_in(mine["id"], value_set=other["id"].combine_chunks())
            mine, said = mine.filter(pc.is_valid(place)), other["score"].take(place.drop_null()).to_numpy()
        else:
            mine = self._log.with_vectors(self._shared(mine, rollout))
            said = self._rescorer.scores(mine, rollout.champion_version)
        same = (mine["score"].to_numpy() >= plan.threshold) == (said >= plan.threshold)
        return Agreement(int(np.count_nonzero(same)), len(same))

    def _checks(self, rollout: Rollout) -> list[str]:
        """The checks after the deployment, made once by each process that looks."""
        if self._broken is None:
            self._broken = checks(self._station, self._station.version(rollout.challenger_version))
        return self._broken

    def _odd(self, mine: pa.Table, rows: pa.Table, rollout: Rollout) -> list[str]:
        """What the challenger answered and would not say offline; and outcomes that a bandit cannot use."""
        found = []
        newest = mine.sort_by([("at", "descending"), ("id", "ascending")]).slice(0, _RESCORED)
        fresh = [each not in self._compared for each in newest["id"].to_pylist()]
        newest = newest.filter(pa.array(fresh, pa.bool_()))
        if newest.num_rows and self._can_compare(rollout.challenger_version):
            newest = self._log.with_vectors(newest, are_shadows=bool(rollout.plan.mirrored))
            offline = self._rescorer.scores(newest, rollout.challenger_version)
            is_exact = self._rescorer.is_exact(rollout.challenger_version)
            wrong = differing(offline, newest["score"].to_numpy(), is_exact=is_exact)
            if wrong:
                found.append(f"its answers are not what it says of the same rows offline: {wrong}")
            else:
                self._compared.update(newest["id"].to_pylist())
        if rollout.plan.moves_freely:
            outcomes = rows["label"].drop_null().to_numpy()
            if ((outcomes < 0) | (outcomes > 1)).any():
                found.append("outcomes of a bandit must lie between 0 and 1; roll out with the strategy ab")
        return found

    def _can_compare(self, number: int) -> bool:
        return self._rescorer.model(number).tensors is None and not self._rescorer.may_vary(number)

    def outcomes(self, now: datetime) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The outcomes of the champion's answers and of the challenger's, shapes (n,) and (m,)."""
        rows = self._log.answers(now)
        rows = rows.filter(pc.is_valid(rows["label"]))
        champion, challenger = (of_arm(rows, name)["label"].to_numpy() for name in (CHAMPION, CHALLENGER))
        return champion, challenger
