"""What a gateway says of its own time: looks at /metrics, and what lies between two of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUESTS, PREDICT = "esteira_request_duration_seconds", "esteira_predict_duration_seconds"
_SERIES = re.compile(r"^(\w+?)(_bucket|_sum|_count)\{(.*)\} (\S+)$")
_EDGE = re.compile(r'\ble="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram of durations in seconds: upper edge → how many up to it, and their sum."""

    counts: Mapping[float, float]
    total: float

    @property
    def count(self) -> float:
        """How many."""
        return self.counts.get(math.inf, 0.0)

    def since(self, before: Buckets) -> Buckets:
        """What came after an earlier look."""
        counts = {edge: count - before.counts.get(edge, 0.0) for edge, count in self.counts.items()}
        return Buckets(counts, self.total - before.total)

    def quantile(self, share: float) -> float:
        """As Prometheus says it: evenly spread within a bucket, the last edge for what is beyond it.

        >>> Buckets({1.0: 50.0, 2.0: 100.0, math.inf: 100.0}, 120.0).quantile(0.75)
        1.5
        """
        rank, low, before = share * self.count, 0.0, 0.0
        for edge, count in self.counts.items():
            if count >= rank and edge < math.inf:
                return low + (edge - low) * (rank - before) / ((count - before) or 1.0)
            if edge < math.inf:
                low, before = edge, count
        return low


@dataclass(frozen=True, slots=True)
class Scrape:
    """The time of whole requests, from the body being read to the answer being ready, and of models alone."""

    requests: Buckets
    predict: Buckets

    @classmethod
    def of(cls, text: str) -> Scrape:
        """From the text of /metrics, summed over all series of a family."""
        return cls(_buckets(text, REQUESTS), _buckets(text, PREDICT))

    def since(self, before: Scrape) -> Scrape:
        """What came after an earlier look."""
        return Scrape(self.requests.since(before.requests), self.predict.since(before.predict))

    def overhead(self, share: float) -> float:
        """Seconds by which a quantile of whole requests exceeds that of the model."""
        return max(0.0, self.requests.quantile(share) - self.predict.quantile(share))

    @property
    def mean_overhead(self) -> float:
        """Seconds beyond the model of the mean request: exact, where a quantile knows only its bucket."""
        count = self.requests.count
        return (self.requests.total - self.predict.total) / count if count else 0.0


def _buckets(text: str, family: str) -> Buckets:
    counts: dict[float, float] = {}
    total = 0.0
    for line in text.splitlines():
        found = _SERIES.match(line)
        if found is None or found[1] != family:
            continue
        edge = _EDGE.search(found[3])
        if found[2] == "_sum":
            total += float(found[4])
        elif found[2] == "_bucket" and edge is not None:
            upper = float(edge[1])
            counts[upper] = counts.get(upper, 0.0) + float(found[4])
    return Buckets(dict(sorted(counts.items())), total)
