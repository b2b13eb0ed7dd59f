"""`python -m esteira.serving.shadow ROOT PARENT SECONDS`: the shadows of one worker, until its line ends."""

from __future__ import annotations

import sys

from esteira.serving.shadow.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
