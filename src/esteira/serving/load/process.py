"""Load from a process of its own, so that it does not wait for whoever asked for it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Self

import msgspec

from esteira.base.errors import EsteiraError, ServiceUnreachable
from esteira.serving.load.plan import LoadPlan, LoadReport

if TYPE_CHECKING:
    from types import TracebackType

_GRACE_S = 30.0  # to start, and to say what came of it


class LoadFailed(EsteiraError):
    """A load that ended without a report."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the load ended without a report: {reason}; run it again, or with fewer connections"
        )
        self.reason = reason


class LoadProcess:
    """A load that runs: `result` waits for it. Leaving the block ends it.

    with LoadProcess(plan) as load:
        what happens meanwhile
        report = load.result()
    """

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._longest = plan.warmup_s + plan.seconds + plan.timeout_s + _GRACE_S
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "esteira.serving.load"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        stream = self._process.stdin
        if stream is not None:
            with stream:
                stream.write(msgspec.msgpack.encode(self._plan))
            self._process.stdin = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.communicate()

    def result(self) -> LoadReport:
        """What came of the load, when it is over. Raises: ServiceUnreachable, LoadFailed."""
        if self._process is None:
            raise LoadFailed("it was not started")
        try:
            said, complained = self._process.communicate(timeout=self._longest)
        except subprocess.TimeoutExpired as hangs:
            raise LoadFailed(f"nothing after {self._longest:g} s") from hangs
        if self._process.returncode:
            tail = complained.decode(errors="replace").strip().splitlines()
            raise LoadFailed(tail[-1] if tail else f"exit code {self._process.returncode}")
        document = json.loads(said)
        if "unreachable" in document:
            raise ServiceUnreachable("the server", self._plan.url, document["unreachable"])
        return LoadReport.from_plain(document)


def run_load(plan: LoadPlan) -> LoadReport:
    """Load a server and wait for what came of it. Raises: ServiceUnreachable, LoadFailed."""
    with LoadProcess(plan) as load:
        return load.result()
