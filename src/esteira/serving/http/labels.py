"""POST /labels: the truth about earlier predictions, taken in whole or not at all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import msgspec

from esteira.base.clock import parse_time, to_micros
from esteira.base.errors import BadInput
from esteira.base.records import Label
from esteira.serving.http.decoding import decode
from esteira.serving.http.messages import Response, json_response

if TYPE_CHECKING:
    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request

_YEAR_10000 = 253_402_300_800_000_000  # UTC microseconds

Micros = Annotated[int, msgspec.Meta(ge=0, lt=_YEAR_10000)]
Revision = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
PredictionId = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class PostedLabel(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One label as it is sent."""

    id: PredictionId
    value: float
    observed_at: Micros | str | None = None  # when it became true; now when absent
    revision: Revision = 0  # of a corrected label, the greatest holds


_decoder = msgspec.json.Decoder(list[PostedLabel])


def post_labels(gateway: Gateway, request: Request) -> Response:
    """Accept labels; they are durable within the flush interval. Raises: BadInput, which names the label."""
    now = gateway.clock.micros()
    posted: list[PostedLabel] = decode(_decoder, request.body)
    labels = [_label(number, each, now) for number, each in enumerate(posted)]
    gateway.label(labels)
    return json_response(202, {"accepted": len(labels)})


def _label(number: int, posted: PostedLabel, now: int) -> Label:
    if not math.isfinite(posted.value):
        raise BadInput(f"label {number}: value must be a finite number, found {posted.value}")
    observed = posted.observed_at
    if isinstance(observed, str):
        try:
            observed = to_micros(parse_time(observed, "observed_at"))
        except BadInput as wrong:
            raise BadInput(f"label {number}: {wrong}") from wrong
    return Label(posted.id, posted.value, now if observed is None else observed, now, posted.revision)
