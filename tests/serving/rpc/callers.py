"""What the tests of gRPC share: a service on a world in this process, and messages for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esteira.serving.access.guard import Guard
from esteira.serving.access.keys import digest_of, new_key
from esteira.serving.access.roles import Caller
from esteira.serving.lanes import Lanes
from esteira.serving.rpc.calls import Calls, Refusal
from esteira.serving.rpc.contents import fill
from esteira.serving.rpc.messages import MESSAGES
from esteira.serving.rpc.service import Call, InferenceService

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.serving.worlds import World


@dataclass
class Known:
    """The keys that a guard knows."""

    callers: dict[bytes, Caller] = field(default_factory=dict)

    def key(self, *roles: str, models: tuple[str, ...] = ()) -> str:
        """A new key, as its owner sends it."""
        _, secret = new_key("shop", list(roles), models, created=0)
        self.callers[digest_of(secret.text)] = Caller("shop", frozenset(roles), models)
        return secret.text


class Asking:
    """Calls to a world in this process, as the server makes them."""

    def __init__(self, world: World, access: str = "open") -> None:
        self.known = Known()
        self.service = InferenceService(world.gateway, Guard(self.known, access))
        self.lanes = Lanes(ThreadPoolExecutor(1), world.metrics, parallel=1, most_waiting=8)
        self.calls = Calls(self.service, self.lanes, deadline_s=1.0)

    def ask(
        self,
        method: str,
        request: Any = None,
        headers: Mapping[str, str] | None = None,
        left_s: float | None = None,
    ) -> Any:
        """The response as a message, or the refusal."""
        content = request if isinstance(request, bytes) else b""
        if request is not None and not isinstance(request, bytes):
            content = request.SerializeToString()
        call = Call(method, headers or {})
        answer = asyncio.run(self.calls.answer(call, content, left_s))
        return answer if isinstance(answer, Refusal) else MESSAGES[f"{method}Response"].FromString(answer)


def message(name: str, /, **fields: Any) -> Any:
    """A message of ours."""
    return MESSAGES[name](**fields)


def inference(arrays: Mapping[str, Any], *, raw: bool = True, **fields: Any) -> Any:
    """A ModelInferRequest of some tensors."""
    tensors = message("ModelInferResponse")  # which has its tensors in the same form
    fill(tensors, arrays, raw=raw)
    request = message("ModelInferRequest", **{"model_name": "late", **fields})
    request.raw_input_contents.extend(tensors.raw_output_contents)
    for output in tensors.outputs:
        request.inputs.add().ParseFromString(output.SerializeToString())
    return request
