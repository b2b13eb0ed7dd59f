"""The status of one cell of an answer: why it holds a value, or why it does not."""

from __future__ import annotations

from typing import Final

PRESENT: Final = "present"
MISSING: Final = "missing"  # no row of that key had happened and was known
EXPIRED: Final = "expired"  # the row is older than the view's TTL
NULL: Final = "null"  # the row holds, and this feature of it is null
