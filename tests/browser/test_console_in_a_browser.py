"""The console in a real browser, on a recorder beside a simulated org: what a responder does, start to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.showing import NEEDS, opened
from tests.integration.living import (
    Org,
    Running,
    live_and_read,
    running,
    simulated_org,
    until,
    write_settings,
)

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
RESTORE = """
[restore]
auth = "client_credentials"
client_id = "{id}"
client_secret_file = "secret"
settle = "1s"
"""

VIOLATIONS = """axe.run(document, {runOnly: ['wcag2a', 'wcag2aa']})
    .then(r => r.violations.map(v => [v.id, v.nodes[0].html, v.nodes[0].failureSummary]))"""

pytestmark = NEEDS


@dataclass
class Place:
    """A recorder with a burst in it."""

    org: Org
    recorder: Running
    alert_id: str
    address: str
    token: str
    hostile_id: str


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


def pages_of(place: Place) -> dict[str, tuple[str, str]]:
    """Every page and view, on what is there: its address and a heading of it."""
    [record] = place.recorder.sql(
        "SELECT record_id FROM changes WHERE entity = 'Account' GROUP BY record_id ORDER BY count(*) DESC LIMIT 1"
    )
    account = f"/time/Account/{record[0]}"
    return {
        "now": ("/", "Now"),
        "incidents": ("/incidents", "Incidents"),
        "incident": (f"/incidents/{place.alert_id}", "Opportunity"),
        "entities": ("/time", "Time machine"),
        "records": ("/time/Opportunity", "Time machine"),
        "history": (account, "Time machine"),
        "state": (f"{account}?view=state", "Time machine"),
        "compare": (f"{account}?view=compare&from=-10d", "Time machine"),
        "tree": (f"{account}?view=tree", "Time machine"),
        "undo": ("/undo", "Undo"),
        "undo-of-an-incident": (f"/undo?incident={place.alert_id}", "Undo"),
        "setup": ("/setup", "Setup"),
        "setup-changed": ("/setup?view=changed&from=-20d", "Setup"),
        "setup-access": ("/setup?view=access&about=Account", "Setup"),
        "trust": ("/trust", "Trust"),
        "sql": (
            "/sql?q=" + quote("SELECT entity, kind, count(*) AS n FROM changes GROUP BY ALL ORDER BY n DESC"),
            "SQL",
        ),
    }


def test_every_page_shows_what_there_is_without_complaint_and_fits_its_width(
    browser: Any, place: Place
) -> None:
    with opened(browser, place.address, place.token) as tab:
        for name, (path, heading) in pages_of(place).items():
            tab.open(path, heading)
            tab.loaded()
            tab.keep(f"full-{name}")
        assert [c for c in tab.complaints if "404" not in c] == []


def test_a_responder_finds_the_flow_sees_a_record_before_it_and_undoes_it(browser: Any, place: Place) -> None:
    with opened(browser, place.address, place.token) as tab:
        page = tab.page
        page.get_by_role("link", name=re.compile("Opportunity records")).first.click()
        page.get_by_role("heading", name=re.compile("Blast radius")).wait_for()
        page.get_by_text(re.compile(r"StageName")).locator("visible=true").first.wait_for()
        page.get_by_text("Closed Lost").locator("visible=true").first.wait_for()
        tab.keep("way-1-incident", ["light"])

        page.get_by_role("region", name="Samples", exact=True).get_by_role("link").first.click()
        page.get_by_role("link", name="The record just before this change").click()
        page.get_by_role("row", name=re.compile("^StageName")).first.wait_for()
        assert "Closed Lost" not in page.get_by_role("row", name=re.compile("^StageName")).first.inner_text()
        tab.keep("way-2-record-before", ["light"])

        tab.open(f"/incidents/{place.alert_id}", "Opportunity")
        page.get_by_role("button", name="Its cause is stopped").click()
        page.get_by_role("button", name="Its cause was stopped").wait_for()
        page.get_by_role("button", name="Undo it…").click()
        page.get_by_role("button", name="Plan the restore").click()
        page.get_by_role("heading", name=re.compile("The plan, field by field")).wait_for()
        page.get_by_role("region", name="Plan", exact=True).wait_for()
        tab.keep("way-3-plan", ["light"])

        assert page.get_by_role("button", name="Apply").is_disabled()
        confirm = page.get_by_label(re.compile("to confirm"))
        word = page.locator("label", has_text="to confirm").locator("code").inner_text()
        confirm.fill(word)
        page.get_by_role("button", name="Apply").click()
        verify = page.get_by_role("button", name="Verify")
        verify.wait_for(timeout=120_000)
        verify.click()
        page.get_by_text("verified").first.wait_for(timeout=120_000)
        tab.keep("way-4-verified")
    stages = place.recorder.sql("SELECT count(*) FROM restore_records WHERE result = 'restored'")
    assert stages[0][0] > 500


def test_what_salesforce_holds_is_text_and_never_markup(browser: Any, place: Place) -> None:
    until(
        "it is recorded", lambda: place.recorder.rows("history", entity="Account", record_id=place.hostile_id)
    )
    with opened(browser, place.address, place.token) as tab:
        for path in (f"/time/Account/{place.hostile_id}", f"/time/Account/{place.hostile_id}?view=state"):
            tab.open(path, "Time machine")
            tab.loaded()
            for more in tab.page.locator("main details summary").all():
                more.click()
            tab.page.get_by_text("<script>").locator("visible=true").first.wait_for()
            assert tab.page.title() != "owned"
            assert tab.page.locator("main img").count() == 0


def test_sql_runs_shows_rows_and_refuses_to_write(browser: Any, place: Place) -> None:
    with opened(browser, place.address, place.token) as tab:
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
    with opened(browser, place.address, place.token) as tab:
        for key, heading in (("2", "Incidents"), ("6", "Trust"), ("7", "SQL"), ("1", "Now")):
            tab.page.locator("body").press(key)
            tab.page.get_by_role("heading", name=heading, exact=True).wait_for()
            assert tab.page.title().startswith(heading)


@pytest.mark.parametrize("look", ["light", "dark"])
def test_pages_are_usable_with_a_screen_reader(browser: Any, place: Place, axe: str, look: str) -> None:
    with opened(browser, place.address, place.token, look) as tab:
        found = []
        for name, (path, heading) in pages_of(place).items():
            tab.open(path, heading)
            tab.loaded()
            tab.page.evaluate(axe)
            found += [(name, *violation) for violation in tab.page.evaluate(VIOLATIONS)]
        assert found == []
