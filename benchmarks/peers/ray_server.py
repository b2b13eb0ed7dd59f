"""Ray Serve with one replica: `ray_server.py FOLDER MODEL PORT`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import ray
from ray import serve
from starlette.requests import Request  # noqa: TC002 - Ray reads annotations

HERE = str(Path(__file__).parent)


@serve.deployment(num_replicas=1, max_ongoing_requests=100)
class Scorer:
    """Reads the JSON itself, as Ray's own first example."""

    def __init__(self, folder: str, model: str) -> None:
        sys.path.insert(0, HERE)
        from scorers import open_scorer

        self._score = open_scorer(folder, model)

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        body = await request.json()
        return {"predictions": self._score(body["inputs"])}


def main() -> None:
    """Serve until SIGTERM."""
    folder, model, port = sys.argv[1:]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    serve.run(Scorer.bind(folder, model), route_prefix="/invocations")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()


if __name__ == "__main__":
    main()
