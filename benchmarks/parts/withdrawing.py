"""How long a challenger still answers after the verdict: from the new routes to the last time it was asked.

Two workers answer many connections that ask without a pause. A request counts with the moment at which it was
sent; the routes are set by another process than the gateway's, as the ring does.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.parts.scored import NAMES

from esteira.serving.routes import Arm, Routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.parts.servers import Running

    from esteira.serving.routes import RouteStore

CONNECTIONS, CALM_S = 16, 0.5


class _Asking(threading.Thread):
    """Asks on one connection until it is told to stop; keeps when the challenger was asked last."""

    def __init__(self, running: Running, row: Sequence[float], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._running, self._end = running, stop
        self._body = json.dumps({"dataframe_split": {"columns": [*NAMES], "data": [[*row]]}})
        self.last, self.asked = 0.0, 0  # perf_counter seconds; requests

    def run(self) -> None:
        address = urlsplit(self._running.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        headers = {"content-type": "application/json", **self._running.server.headers}
        while not self._end.is_set():
            sent = time.perf_counter()
            connection.request("POST", "/invocations", self._body, headers)
            answer = connection.getresponse()
            answer.read()
            self.asked += 1
            if answer.headers["x-esteira-arm"] == "challenger":
                self.last = sent
        connection.close()


def withdrawals(
    running: Running,
    routes: RouteStore,
    model: str,
    digests: Sequence[str],
    row: Sequence[float],
    rounds: int,
) -> list[float]:
    """The seconds from the new routes to the last request that the challenger was asked, one for each round.

    `digests` are of the champion's bundle and the challenger's, which has half of the traffic before.
    """
    champion, challenger = digests
    found = []
    for _ in range(rounds):
        half = (Arm("champion", 1, champion, 0.5), Arm("challenger", 2, challenger, 0.5))
        routes.set(Routes(model, half, salt="bench"))
        stop = threading.Event()
        asking = [_Asking(running, row, stop) for _ in range(CONNECTIONS)]
        for each in asking:
            each.start()
        while not all(each.last for each in asking):
            time.sleep(0.01)
        time.sleep(CALM_S)
        given = time.perf_counter()
        routes.set(Routes(model, (Arm("champion", 1, champion, 1.0),), salt="bench"))
        time.sleep(CALM_S)
        stop.set()
        for each in asking:
            each.join()
        found.append(max(max(each.last for each in asking) - given, 0.0))
    return found
