"""What the tests of mirroring share: a mirror with a line whose other end the test holds."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from esteira.serving.gateway import Asked
from esteira.serving.mirroring.channel import Channel
from esteira.serving.mirroring.messages import ASKED, TARGETS, Frames, Mirrored, Told, of_told
from esteira.serving.mirroring.mirror import Mirror
from esteira.serving.mirroring.plans import Plan, Target
from esteira.serving.routes import Arm, Routes, Shadow
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

NEXT = Target("late", "next", 2, "b")


def routes(*shares: float, segments: tuple[str, ...] = ()) -> Routes:
    """A champion, and shadows of the versions 2, 3… with these shares."""
    names = ("next", *(f"next{n}" for n in range(3, 9)))
    shadows = tuple(
        Shadow(name, version, "b", share)
        for version, (name, share) in enumerate(zip(names, shares, strict=False), start=2)
    )
    arms = (Arm("champion", 1, "a", 1.0),)
    return Routes("late", arms, "s", 1, shadows=shadows, segments=segments)


def chosen(name: str, key: str = "", arm: str = "champion", model: str = "late") -> Asked:
    """A request that was answered; the mirror asks nothing of the version that did."""
    nobody: Any = None
    return Asked(model, nobody, arm, 1, name, key or name, 1_372_680_000_000_000, 0.0)


class Held:
    """A mirror, and the end of its line that a process would hold."""

    def __init__(self, *shares: float, segments: tuple[str, ...] = (), **limits: int) -> None:
        self.metrics = Metrics()
        self.mirror = Mirror(self.metrics, **limits)
        self.frames = Frames()
        self.targets: list[Target] = []
        self.asked: list[Mirrored] = []
        self.mirror.plans = {"late": Plan(routes(*(shares or (1.0,)), segments=segments))}
        self.connect()

    def connect(self) -> None:
        """A new process."""
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)  # noqa: FBT003 - the method of a socket
        self.frames = Frames()
        self.mirror.channel = Channel(ours)

    def take(self, *names: str, headers: Mapping[str, str] | None = None, **facts: str) -> None:
        """Requests that were answered."""
        for name in names:
            self.mirror.take(chosen(name, **facts), "mlflow", headers or {}, b"{}")

    def read(self) -> list[str]:
        """The ids of what has come over the line by now."""
        try:
            while piece := self.theirs.recv(1 << 20):
                for kind, message in self.frames.feed(piece):
                    into: Any = {TARGETS: self.targets, ASKED: self.asked}[kind]
                    into += message
        except BlockingIOError:
            pass
        return [each.id for each in self.asked]

    def tell(self, answered: int, failed: int = 0, version: int = 2) -> None:
        """Say what became of some."""
        self.theirs.send(of_told([Told("late", version, answered, failed)]))
        self.mirror.beat()

    def counts(self, version: str = "2") -> dict[str, float]:
        """Mirrored, and each outcome."""
        found = self.metrics.read()
        counts = {
            labels[2]: value[0]
            for labels, value in found.get("esteira_shadow_requests_total", {}).items()
            if labels[1] == version
        }
        mirrored = found.get("esteira_shadow_mirrored_total", {}).get(("late", version), [0.0])[0]
        return {"mirrored": mirrored, **counts}
