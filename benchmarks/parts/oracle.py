"""Generated cells against brute force: `python -m benchmarks.parts.oracle ENGINE CELLS`.

Small worlds full of ties, late rows, rows that were never created, nulls, and four TTLs. Prints one JSON
object: cells compared and cells that were wrong.
"""

from __future__ import annotations

import json
import random
import sys

from tests.features.oracle import joined, plain, some_questions, some_rows, view_of

from esteira.features.point_in_time import point_in_time_join
from esteira.features.views import BoundView

QUESTIONS, ROWS = 250, 45


def compare(engine: str, wanted: int) -> tuple[int, int]:
    """How many cells were compared and how many of them (value or status) differ."""
    compared = wrong = seed = 0
    while compared < wanted:
        chance = random.Random(seed)
        spine = some_questions(chance, QUESTIONS)
        shapes = (("u", True, None), ("v", True, 3), ("w", False, 0), ("x", seed % 2 > 0, 5))
        views = [
            BoundView(view_of(created=created, ttl_us=ttl_us, name=name), some_rows(chance, ROWS))
            for name, created, ttl_us in shapes
        ]
        as_known = seed % 3 > 0
        found = point_in_time_join(spine, views, at="at", as_known=as_known, with_status=True, engine=engine)
        for one, other in zip(plain(found), joined(spine, views, as_known=as_known), strict=True):
            wrong += sum(one[name] != other[name] for name in other)
        compared, seed = compared + QUESTIONS * len(views), seed + 1
    return compared, wrong


if __name__ == "__main__":
    cells, differing = compare(sys.argv[1], int(sys.argv[2]))
    print(json.dumps({"cells": cells, "wrong": differing}))
