"""`python -m esteira` is the command `esteira`."""

from __future__ import annotations

import sys

from esteira.cli import main

if __name__ == "__main__":
    sys.exit(main())
