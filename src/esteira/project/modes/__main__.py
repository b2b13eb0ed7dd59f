"""`python -m esteira.project.modes`: an order on standard input, how it goes on standard output."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from esteira.base.errors import EsteiraError
from esteira.project.modes import batch, streaming
from esteira.project.modes.process import Order

if TYPE_CHECKING:
    from typing import BinaryIO

_WORKS = {"batch": batch.work, "streaming": streaming.work}


def _tell(stream: BinaryIO, said: object) -> None:
    stream.write(msgspec.json.encode(said) + b"\n")
    stream.flush()


def main() -> int:
    """Do what is ordered, then wait until nobody looks any more."""
    heard, stream = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a project prints is none of the lines
    tell = partial(_tell, stream)
    order = msgspec.json.decode(heard.readline(), type=Order)
    try:
        _WORKS[order.mode](order, heard, tell)
    except EsteiraError as failed:
        tell({"failed": str(failed)})
        return 1
    heard.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
