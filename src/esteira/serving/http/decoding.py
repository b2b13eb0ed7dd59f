"""JSON text to typed values, read once; whatever is wrong with it is the sender's to mend."""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

from esteira.base.errors import BadInput

_T = TypeVar("_T")


class MalformedBody(BadInput):
    """A body that is not the JSON that the route expects."""


def decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """The body as the decoder's type. Raises: MalformedBody.

    >>> decode(msgspec.json.Decoder(list[float]), b"[1, NaN]")
    [1.0, nan]
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as wrong:
        raise MalformedBody(f"the body does not fit: {wrong}") from wrong
    except RecursionError as deep:
        raise MalformedBody("the JSON is nested too deeply; send flat lists") from deep
    except UnicodeDecodeError as wrong:
        raise MalformedBody(f"the body is not JSON: it is not UTF-8: {wrong}") from wrong
    except msgspec.DecodeError as wrong:
        if b"NaN" in body or b"Infinity" in body:
            return _decode_leniently(decoder, body)
        raise MalformedBody(
            f"the body is not JSON: {wrong}; check for a truncated or doubled body"
        ) from wrong


def _decode_leniently(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    # Python's own encoder writes NaN and Infinity, which JSON has not: read them, so that the error can name
    # the column that holds one.
    try:
        value = json.loads(body)
        msgspec.json.encode(value)  # refuses half a surrogate pair, which is no text
        decoded: _T = msgspec.convert(value, decoder.type)
    except msgspec.ValidationError as wrong:
        raise MalformedBody(f"the body does not fit: {wrong}") from wrong
    except (ValueError, RecursionError) as wrong:
        raise MalformedBody(f"the body is not JSON: {wrong}") from wrong
    return decoded
