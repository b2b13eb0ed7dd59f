"""`python -m esteira.serving.load`: a plan on standard input, its report as JSON on standard output."""

from __future__ import annotations

import gc
import json
import sys

import msgspec

from esteira.base.errors import ServiceUnreachable
from esteira.serving.load.generator import Generator
from esteira.serving.load.plan import LoadPlan


def main() -> int:
    """Run the plan."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=LoadPlan)
    gc.disable()  # a request leaves no cycles behind, and a load is bounded
    try:
        found = Generator(plan).run().to_plain()
    except ServiceUnreachable as silent:
        found = {"unreachable": silent.reason}
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
