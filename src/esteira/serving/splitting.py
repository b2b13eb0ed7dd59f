"""What a caller may say of the split of a model's requests, and which arm the request comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esteira.serving.access.guard import Headers
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.live.table import LiveModel

SEGMENT_HEADER = "x-esteira-segment"  # whom the request belongs to: routes may split some segments alone
ARM_HEADER = "x-esteira-arm"  # an arm by its name, instead of the split
PINNED = "pinned"  # the arm of a request that named its version or its arm: no split chose it
OUTSIDE = "outside"  # the arm of a request that is of none of the segments whose requests are split


def split(live: LiveModel, key: str, headers: Headers) -> tuple[LoadedArm, str]:
    """The arm that answers a request, and the name under which that is logged.

    An arm that is not there cannot be asked: then the split decides.
    """
    named = headers.get(ARM_HEADER)
    if named is not None and named in live.arms:
        return live.arms[named], PINNED
    segment = headers.get(SEGMENT_HEADER) or ""
    loaded = live.choose(key, segment)
    return loaded, loaded.arm.name if live.routes.is_inside(segment) else OUTSIDE
