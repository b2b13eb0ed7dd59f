"""LitServe: `litserve_server.py FOLDER MODEL PORT`. LitServe reads annotations, so they are no texts here."""

import sys

import litserve
from fastapi import Request
from scorers import open_scorer


class Scorer(litserve.LitAPI):
    """One worker, no batching, as LitServe's own first example."""

    def __init__(self, folder: str, model: str) -> None:
        super().__init__(api_path="/invocations")
        self._where = folder, model

    def setup(self, device: str) -> None:
        del device  # there is one
        self._score = open_scorer(*self._where)

    def decode_request(self, request: Request) -> list[list[float]]:
        return request["inputs"]

    def predict(self, x: list[list[float]]) -> list[float]:
        return self._score(x)

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        return {"predictions": output}


def main() -> None:
    """Serve until SIGTERM."""
    folder, model, port = sys.argv[1:]
    server = litserve.LitServer(Scorer(folder, model), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(port), num_api_servers=1, generate_client_file=False, log_level="error"
    )


if __name__ == "__main__":
    main()
