"""The console in a real browser, on a recorder beside a simulated org: what a responder does, start to end.

Screenshots are kept in CDC_TEST_SCREENSHOTS, where that is set.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cdc.serve.console import is_built
from tests.integration.living import (
    Org,
    Running,
    live_and_read,
    running,
    simulated_org,
    until,
    write_settings,
)

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not for this machine")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
FLAGS += ["--disable-component-update", "--disable-sync"]
SHOTS = os.environ.get("CDC_TEST_SCREENSHOTS", "")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
RESTORE = """
[restore]
auth = "client_credentials"
client_id = "{id}"
client_secret_file = "secret"
settle = "1s"
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium was not found on PATH"),
    pytest.mark.skipif(not is_built(), reason="the console is not built: Node.js and npm are needed"),
]


@dataclass
class Place:
    """A recorder with a burst in it."""

    org: Org
    recorder: Running
    alert_id: str
    address: str
    token: str
    hostile_id: str


@dataclass
class Tab:
    """A page that keeps what the browser complains of."""

    page: Any
    place: Place
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str, heading: str | None = None) -> None:
        self.page.goto(self.place.address + path)
        if heading:
            self.page.get_by_role("heading", name=re.compile(heading)).first.wait_for()

    def shot(self, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("browser")
    with simulated_org(folder, "records = 5000\nusers = 30\n") as org:
        settings = write_settings(folder, org, extra=RESTORE.format(id=org.ready["client_id"]))
        with running(settings, folder) as recorder:
            until("the API answers", lambda: recorder.rows("status"))
            members = len({m["entity"] for m in org.get("/simulator/status")["members"]})
            until("all is read", lambda: live_and_read(recorder, members))
            org.post("/simulator/play", {"days": 10})
            hostile_id = _hostile(org)
            org.post(
                "/simulator/scenario",
                {"name": "runaway_flow", "entity": "Opportunity", "field": "StageName", "value": "Closed Lost",
                 "records": 1200, "chunk": 200, "interval_ms": 300},
            )  # fmt: skip
            found = until(
                "the detector pages",
                lambda: [a for a in recorder.rows("alerts", limit=100) if a["severity"] == "page"],
            )
            until("the flow has ended", lambda: not org.get("/simulator/status")["running"])
            token = Path(settings.api.token_file).read_text().strip()
            address = f"http://{settings.api.listen}"
            yield Place(org, recorder, found[0]["alert_id"], address, token, hostile_id)


def _hostile(org: Org) -> str:
    change = {"entity": "Account", "op": "CREATE", "values": {"Name": HOSTILE, "Description": HOSTILE}}
    made = org.post("/simulator/commit", {"changes": [change]})
    return str(made["record_ids"][0] if "record_ids" in made else made["changes"][0]["record_id"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@contextlib.contextmanager
def opened(browser: Any, place: Place, *, width: int = 1280, scheme: str = "light") -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = Tab(context.new_page(), place)
    tab.page.set_default_timeout(30_000)
    tab.page.on("console", lambda m: tab.complaints.append(m.text) if m.type == "error" else None)
    tab.page.on("pageerror", lambda e: tab.complaints.append(str(e)))
    tab.page.goto(f"{place.address}/#token={place.token}")
    tab.page.get_by_role("heading", name="Now", exact=True).wait_for()
    try:
        yield tab
    finally:
        context.close()


PAGES = {
    "now": ("/", "Now"),
    "incidents": ("/incidents", "Incidents"),
    "time": ("/time/Opportunity", "Time machine"),
    "undo": ("/undo", "Undo"),
    "trust": ("/trust", "Trust"),
    "sql": ("/sql", "SQL"),
}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light")])
def test_every_page_shows_without_complaint_and_fits_its_width(
    browser: Any, place: Place, width: int, scheme: str
) -> None:
    with opened(browser, place, width=width, scheme=scheme) as tab:
        for name, (path, heading) in PAGES.items():
            tab.open(path, heading)
            tab.page.wait_for_load_state("networkidle") if name == "sql" else tab.page.wait_for_timeout(700)
            wide = tab.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wide <= 1, f"{name} is {wide} px too wide at {width}"
            tab.shot(f"{name}-{scheme}-{width}")
        assert [c for c in tab.complaints if "404" not in c] == []


def test_a_responder_finds_the_flow_sees_a_record_before_it_and_undoes_it(browser: Any, place: Place) -> None:
    with opened(browser, place) as tab:
        page = tab.page
        page.get_by_role("link", name=re.compile("Opportunity records")).first.click()
        page.get_by_role("heading", name=re.compile("Blast radius")).wait_for()
        page.get_by_text(re.compile(r"StageName")).first.wait_for()
        page.get_by_text("Closed Lost").first.wait_for()
        tab.shot("incident")

        page.get_by_role("region", name="Samples", exact=True).get_by_role("link").first.click()
        page.get_by_role("link", name="The record just before this change").click()
        page.get_by_role("row", name=re.compile("^StageName")).first.wait_for()
        assert "Closed Lost" not in page.get_by_role("row", name=re.compile("^StageName")).first.inner_text()
        tab.shot("record-before")

        tab.open(f"/incidents/{place.alert_id}", "Opportunity")
        page.get_by_role("button", name="Its cause is stopped").click()
        page.get_by_role("button", name="Its cause was stopped").wait_for()
        page.get_by_role("button", name="Undo it…").click()
        page.get_by_role("button", name="Plan the restore").click()
        page.get_by_role("heading", name=re.compile("The plan, field by field")).wait_for()
        page.get_by_role("region", name="Plan", exact=True).wait_for()
        tab.shot("plan")

        assert page.get_by_role("button", name="Apply").is_disabled()
        confirm = page.get_by_label(re.compile("to confirm"))
        word = page.locator("label", has_text="to confirm").locator("code").inner_text()
        confirm.fill(word)
        page.get_by_role("button", name="Apply").click()
        verify = page.get_by_role("button", name="Verify")
        verify.wait_for(timeout=120_000)
        verify.click()
        page.get_by_text("verified").first.wait_for(timeout=120_000)
        tab.shot("verified")
    stages = place.recorder.sql("SELECT count(*) FROM restore_records WHERE result = 'restored'")
    assert stages[0][0] > 500


def test_what_salesforce_holds_is_text_and_never_markup(browser: Any, place: Place) -> None:
    until(
        "it is recorded", lambda: place.recorder.rows("history", entity="Account", record_id=place.hostile_id)
    )
    with opened(browser, place) as tab:
        for path in (f"/time/Account/{place.hostile_id}", f"/time/Account/{place.hostile_id}?view=state"):
            tab.open(path, "Time machine")
            tab.page.get_by_text("<script>").first.wait_for()
            assert tab.page.title() != "owned"
            assert tab.page.locator("main img").count() == 0


def test_sql_runs_shows_rows_and_refuses_to_write(browser: Any, place: Place) -> None:
    with opened(browser, place) as tab:
        tab.open("/sql", "SQL")
        tab.page.get_by_label("SQL").fill(
            "SELECT entity, count(*) AS n FROM changes GROUP BY ALL ORDER BY n DESC"
        )
        tab.page.keyboard.press("Control+Enter")
        tab.page.get_by_role("cell", name="Opportunity").wait_for()
        tab.page.get_by_label("SQL").fill("DROP TABLE store.changes")
        tab.page.get_by_role("button", name=re.compile("^Run")).click()
        refusal = tab.page.get_by_role("alert")
        refusal.wait_for()
        assert "SELECT" in refusal.inner_text()


def test_without_a_token_there_is_a_door_and_no_data(browser: Any, place: Place) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{place.address}/incidents")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Enter").click()
    page.get_by_text("not a token of this recorder").wait_for()
    page.get_by_label("Token").fill(place.token)
    page.get_by_role("button", name="Enter").click()
    page.get_by_role("heading", name="Incidents").wait_for()
    assert place.token not in page.url
    context.close()


def test_pages_are_reached_by_keys(browser: Any, place: Place) -> None:
    with opened(browser, place) as tab:
        for key, heading in (("2", "Incidents"), ("6", "Trust"), ("7", "SQL"), ("1", "Now")):
            tab.page.locator("body").press(key)
            tab.page.get_by_role("heading", name=heading, exact=True).wait_for()
            assert tab.page.title().startswith(heading)


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker, from the npm registry."""
    if shutil.which("npm") is None:
        pytest.skip("npm was not found on PATH")
    folder = tmp_path_factory.mktemp("axe")
    (folder / "package.json").write_text('{"private": true}')
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@4.14.1"], cwd=folder, capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        pytest.skip(f"npm could not install axe-core: {done.stderr.strip()[-200:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_usable_with_a_screen_reader(browser: Any, place: Place, axe: str, scheme: str) -> None:
    with opened(browser, place, scheme=scheme) as tab:
        found = []
        for name, (path, heading) in {
            **PAGES,
            "incident": (f"/incidents/{place.alert_id}", "Opportunity"),
        }.items():
            tab.open(path, heading)
            tab.page.wait_for_timeout(800)
            tab.page.evaluate(axe)
            run = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa']}).then(r => r.violations.map(v => [v.id, v.nodes[0].html, v.nodes[0].failureSummary]))"
            found += [(name, *violation) for violation in tab.page.evaluate(run)]
        assert found == []
