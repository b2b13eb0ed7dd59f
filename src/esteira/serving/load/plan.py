"""What load is wanted: where to, how much, for how long. And what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from esteira.base.errors import BadInput
from esteira.serving.load.histogram import Histogram
from esteira.serving.load.wire import split_url

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CONNECTIONS = 4096
LONGEST_S = 3600.0
_REFUSALS = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that is sent again and again."""

    path: str
    body: bytes = b""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A bounded load. Without `rate` the loop is closed: each connection asks when it has its answer.

    With a rate, in requests a second, the loop is open: requests are due at moments that do not depend on the
    answers, and a latency counts from the moment that its request was due, so that a server that stalls is
    seen by all whom it keeps waiting.

    Source: G. Tene, How NOT to Measure Latency (coordinated omission). Raises: BadInput.
    """

    url: str  # of the server: http://host:port
    asks: tuple[Ask, ...]
    order: tuple[int, ...] = ()  # places in `asks`, taken in turn; all of them in turn when empty
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    connections: int = 1
    seconds: float = 5.0
    warmup_s: float = 0.5  # before that; it does not count
    rate: float | None = None
    arrivals: Literal["poisson", "constant"] = "poisson"
    timeout_s: float = 10.0
    most_requests: int = 100_000_000
    check: str = ""  # "module:function", called with (status, body, place in `asks`): "" or what is wrong
    keep: str = ""  # a file for the newest answer 2xx to each of `asks`: msgpack, place → body
    seed: int = 7

    def __post_init__(self) -> None:
        split_url(self.url)
        if not self.asks or any(not 0 <= at < len(self.asks) for at in self.order):
            raise BadInput(f"a load asks at least one thing, in an order of them; found {len(self.asks)}")
        if not 1 <= self.connections <= MOST_CONNECTIONS:
            raise BadInput(f"connections must be 1 to {MOST_CONNECTIONS}, found {self.connections}")
        if not 0 < self.seconds <= LONGEST_S or not 0 <= self.warmup_s <= LONGEST_S:
            raise BadInput(f"a load lasts up to {LONGEST_S:g} s, found {self.seconds:g} + {self.warmup_s:g}")
        if self.rate is not None and not 0 < self.rate <= 1e6:
            raise BadInput(f"a rate is above 0 and at most a million a second, found {self.rate:g}")
        if not self.timeout_s > 0 or self.most_requests < 1:
            raise BadInput("a time-out is above 0, and at least one request is sent")


@dataclass(slots=True)
class LoadReport:
    """What came of a load. Throughput is of answers 2xx within the window; refusals are 429 and 503."""

    seconds: float = 0.0  # the window
    answers: dict[int, int] = field(default_factory=dict)  # by status
    errors: dict[str, int] = field(default_factory=dict)  # requests without an answer, by kind
    wrong: dict[str, int] = field(default_factory=dict)  # answers that the check refused, by what it said
    latency: Histogram = field(default_factory=Histogram)  # of answers 2xx
    refusals: Histogram = field(default_factory=Histogram)
    in_window: int = 0  # answers 2xx that came within the window
    sent: int = 0  # requests, those of the warm-up too
    cpu_seconds: float = 0.0  # of the generator, for all that it sent
    busy_s: float = 0.0  # from the first request, of the warm-up or not, to the last answer

    @property
    def throughput(self) -> float:
        """Answers 2xx per second of the window."""
        return self.in_window / self.seconds if self.seconds else 0.0

    @property
    def succeeded(self) -> int:
        """Answers 2xx."""
        return sum(count for status, count in self.answers.items() if 200 <= status < 300)

    @property
    def refused(self) -> int:
        """Answers 429 and 503."""
        return sum(count for status, count in self.answers.items() if status in _REFUSALS)

    @property
    def failed(self) -> int:
        """Whatever was neither answered 2xx nor refused, and answers that the check found wrong."""
        other = sum(self.answers.values()) - self.succeeded - self.refused
        return other + sum(self.errors.values()) + sum(self.wrong.values())

    def merge(self, other: LoadReport) -> None:
        """Count what another load on the same server at the same time met with."""
        self.answers = dict(Counter(self.answers) + Counter(other.answers))
        self.errors = dict(Counter(self.errors) + Counter(other.errors))
        self.wrong = dict(Counter(self.wrong) + Counter(other.wrong))
        self.latency.merge(other.latency)
        self.refusals.merge(other.refusals)
        self.seconds = max(self.seconds, other.seconds)
        self.in_window += other.in_window
        self.sent += other.sent
        self.cpu_seconds += other.cpu_seconds
        self.busy_s = max(self.busy_s, other.busy_s)

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "seconds": self.seconds,
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "errors": self.errors,
            "wrong": self.wrong,
            "latency": self.latency.to_plain(),
            "refusals": self.refusals.to_plain(),
            "in_window": self.in_window,
            "sent": self.sent,
            "cpu_seconds": self.cpu_seconds,
            "busy_s": self.busy_s,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_plain`."""
        return cls(
            plain["seconds"],
            {int(status): count for status, count in plain["answers"].items()},
            dict(plain["errors"]),
            dict(plain["wrong"]),
            Histogram.from_plain(plain["latency"]),
            Histogram.from_plain(plain["refusals"]),
            plain["in_window"],
            plain["sent"],
            plain["cpu_seconds"],
            plain["busy_s"],
        )
