"""MLServer with a runtime of its own kind: `mlserver_server.py FOLDER MODEL PORT`.

The model answers in the server's own process (`parallel_workers=0`): beside worker processes that is the
faster way for models as light as these.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse
from scorers import open_scorer


class Scorer(MLModel):
    """Decodes a tensor as mlserver-sklearn does."""

    async def load(self) -> bool:
        folder, model, _ = sys.argv[1:]
        self._score = open_scorer(folder, model)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode_request(payload, default_codec=NumpyRequestCodec)
        scores = np.array(self._score(rows))
        output = NumpyCodec.encode_output("predictions", scores)
        return InferenceResponse(model_name=self.name, outputs=[output])


def _free() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def _serve() -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=int(sys.argv[3]),
        grpc_port=_free(),
        metrics_port=_free(),
        parallel_workers=0,
        debug=False,
        load_models_at_startup=False,
    )
    model = ModelSettings(name="model", implementation=Scorer, parameters=ModelParameters(uri=sys.argv[1]))
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(_serve())
