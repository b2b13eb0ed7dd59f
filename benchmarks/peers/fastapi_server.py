"""FastAPI and uvicorn by hand, as it is usually written: `fastapi_server.py FOLDER MODEL PORT`."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from scorers import open_scorer


class Body(BaseModel):
    """Rows of numbers."""

    inputs: list[list[float]]


def main() -> None:
    """Serve until SIGTERM."""
    folder, model, port = sys.argv[1:]
    score = open_scorer(folder, model)
    app = FastAPI()

    @app.post("/invocations")
    async def predict(body: Body) -> dict[str, list[float]]:
        return {"predictions": score(body.inputs)}

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
