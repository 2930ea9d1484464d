"""What somebody new does with `./ops/demo --keep`: open the address, find the flow, see a record before it, undo it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.showing import NEEDS, opened

pytestmark = NEEDS

ADDRESS = re.compile(r"console: (http://\S+)/#token=(\S+)")
WALK_S_MAX = 180.0


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, str]]:
    """Where the demo says its console is, and the token it gives."""
    command = [sys.executable, "-m", "cdc.cli", "demo", "--keep", "--days", "14"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        said = []
        try:
            for line in demo.stdout:
                said.append(line)
                if found := ADDRESS.search(line):
                    yield found[1], found[2]
                    break
            else:
                pytest.fail("the demo ended without an address:\n" + "".join(said[-15:]))
        finally:
            demo.terminate()  # an interrupt is not heeded by what a shell has started in the background
            demo.wait(60)


def test_the_flow_is_found_and_undone_without_a_manual(browser: Any, address: tuple[str, str]) -> None:
    with opened(browser, *address) as tab:
        page = tab.page
        began = time.monotonic()
        found = page.get_by_role("region", name="Asking for attention").get_by_role("link").first
        found.wait_for()
        assert "set Industry to null" in found.inner_text()
        tab.keep("demo-1-now", ["light"])
        found.click()

        picture = page.get_by_role("region", name="Picture of the blast radius")
        picture.wait_for()
        for what in ("Sales User", "automation in the org", "Account", "Industry", "Contact.AccountId"):
            assert what in picture.inner_text() or picture.get_by_text(what).count(), what
        cause = page.get_by_role("region", name="Likely cause")
        assert "Account_Industry_Cleanup" in cause.inner_text()
        page.get_by_text("the busiest").wait_for()
        tab.loaded()
        tab.keep("demo-2-incident")

        cause.get_by_role("link", name=re.compile("line by line")).click()
        page.get_by_text("Account_Industry_Cleanup").first.wait_for()
        tab.keep("demo-3-cause", ["light"])
        page.go_back()

        page.get_by_role("region", name="Samples", exact=True).get_by_role("link").first.click()
        page.get_by_role("link", name="The record just before this change").click()
        before = page.get_by_role("row", name=re.compile("^Industry"))
        before.wait_for()
        assert "null" not in before.inner_text()
        tab.keep("demo-4-record-before", ["light"])

        page.get_by_role("link", name=re.compile("^Incidents")).click()
        page.get_by_role("link", name=re.compile("set Industry to null")).click()
        page.get_by_role("button", name="Its cause is stopped").click()
        page.get_by_role("button", name="Its cause was stopped").wait_for()
        page.get_by_role("button", name="Undo it…").click()
        page.get_by_role("button", name="Plan the restore").click()
        page.get_by_role("heading", name="The plan, field by field").wait_for(timeout=180_000)
        page.get_by_role("region", name="Plan", exact=True).wait_for()
        tab.keep("demo-5-plan", ["light"])
        word = page.locator("label", has_text="to confirm").locator("code").inner_text()
        page.get_by_label(re.compile("to confirm")).fill(word)
        page.get_by_role("button", name="Apply").click()
        page.get_by_role("button", name="Verify").click(timeout=180_000)
        said = page.get_by_text(re.compile(r"[\d,]+ of [\d,]+ fields are as planned"))
        said.wait_for(timeout=180_000)
        equal, fields = re.findall(r"[\d,]+", said.first.inner_text())[:2]
        assert equal == fields
        page.locator(".badge.state-verified").first.wait_for()
        tab.keep("demo-6-verified")
        took = time.monotonic() - began
    print(f"from the address to verified in {took:.0f} s")
    assert took < WALK_S_MAX
