"""What the tests of pages in a browser share: a Chromium without a screen, and its tabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
NO_CHROMIUM = "needs Chromium; run: apt-get install chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Visit:
    """One tab, with what went wrong in it."""

    def __init__(self, browser: Any, width: int, scheme: str, *, scripts: bool = True) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, java_script_enabled=scripts
        )
        self.tab = self.context.new_page()
        self.wrong: list[str] = []
        self.tab.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))

    def overflow(self) -> int:
        return int(self.tab.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
