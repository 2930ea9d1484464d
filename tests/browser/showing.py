"""A tab of Chromium on the console, and what is kept of what it showed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cdc.serve.console import is_built

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SHOTS = Path(os.environ.get("CDC_TEST_SCREENSHOTS", Path(__file__).parents[2] / ".artefacts" / "screenshots"))
"""Where every page in every state is kept; no part of the sources."""

LOOKS = {"light": (1280, "light"), "dark": (1280, "dark"), "narrow": (360, "light")}
"""Width and colour scheme."""

NEEDS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium was not found on PATH"),
    pytest.mark.skipif(not is_built(), reason="the console is not built: Node.js and npm are needed"),
]
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Tab:
    """A page that keeps what the browser complains of."""

    page: Any
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str, heading: str | None = None) -> None:
        self.page.goto(self.address + path)
        if heading:
            self.page.get_by_role("heading", name=re.compile(heading)).first.wait_for()

    def loaded(self) -> None:
        """Until no part of the page says that it loads; the second time for what the first answers led to."""
        for _ in range(2):
            self.drawn()
            self.page.locator("main .state[role=status]").first.wait_for(state="detached")

    def drawn(self) -> None:
        """Until the browser has drawn what it knows by now."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def look(self, name: str) -> None:
        width, scheme = LOOKS[name]
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme)

    def keep(self, name: str, looks: Sequence[str] = tuple(LOOKS)) -> None:
        """A picture in each look, which has to fit its width."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        for look in looks:
            self.look(look)
            self.drawn()
            wide = self.page.evaluate(TOO_WIDE)
            self.page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page=True)
            assert wide <= 1, f"{name} is {wide} px too wide in the look {look}"
        self.look(looks[0])


@contextlib.contextmanager
def opened(browser: Any, address: str, token: str, look: str = "light") -> Iterator[Tab]:
    """A tab that is signed in."""
    width, scheme = LOOKS[look]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = Tab(context.new_page(), address)
    tab.page.set_default_timeout(60_000)
    tab.page.on("console", lambda m: tab.complaints.append(m.text) if m.type == "error" else None)
    tab.page.on("pageerror", lambda e: tab.complaints.append(str(e)))
    tab.page.goto(f"{address}/#token={token}")
    tab.page.get_by_role("heading", name="Now", exact=True).wait_for()
    try:
        yield tab
    finally:
        context.close()
