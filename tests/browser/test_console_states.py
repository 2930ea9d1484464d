"""Every page says what it has to say while it loads, when it fails, when there is nothing, and when not all is known.

A picture of each in light, dark and on a narrow screen is kept; `cdc/console/README.md` has the list they are gone
through with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.serve.auth import Role
from tests.browser.showing import LOOKS, NEEDS, SHOTS, Tab, opened
from tests.unit.journal.batches import record_id
from tests.unit.serve.standing import ENTITY, Standing, standing, token_of

pytestmark = NEEDS

RECORD = f"/time/{ENTITY}/{record_id(1)}"
PAGES = {
    "now": "/",
    "incidents": "/incidents",
    "incident": "/incidents/a-1",
    "entities": "/time",
    "records": f"/time/{ENTITY}",
    "history": RECORD,
    "state": f"{RECORD}?view=state",
    "compare": f"{RECORD}?view=compare",
    "tree": f"{RECORD}?view=tree",
    "undo": "/undo",
    "undo-of-an-incident": "/undo?incident=a-1",
    "setup": "/setup",
    "setup-changed": "/setup?view=changed",
    "setup-access": "/setup?view=access",
    "trust": "/trust",
}
TELLS_WHAT_TO_DO = re.compile(
    "cdc |begin|choose|begins|will stand|stands here|Check|Show all|Enter|Try|longer|practised|see|write"
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("full")) as made:
        yield made


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("bare"), is_bare=True) as made:
        yield made


def test_while_nothing_is_answered_every_page_says_what_it_loads(browser: Any, full: Standing) -> None:
    with opened(browser, f"http://{full.address}", token_of(Role.ADMIN)) as tab:
        tab.page.route("**/api/v1/**", lambda route: None)  # never answered
        tab.page.route("**/metrics", lambda route: None)
        for name, path in PAGES.items():
            if name == "setup-access":
                continue  # asks nothing before it is told about whom
            tab.open(path)
            tab.page.get_by_text(re.compile("^ ?Loading .+…$")).first.wait_for()
            tab.keep(
                f"loading-{name}", ["light", "dark", "narrow"] if name in ("now", "incident") else ["light"]
            )


def test_a_failure_says_what_failed_and_what_to_do(browser: Any, full: Standing) -> None:
    problem = {
        "title": "Service Unavailable",
        "status": 503,
        "detail": "1000 questions wait already: ask again in a few seconds",
    }
    with opened(browser, f"http://{full.address}", token_of(Role.ADMIN)) as tab:
        tab.page.route(
            "**/api/v1/**",
            lambda route: route.fulfill(
                status=503, body=json.dumps(problem), content_type="application/problem+json"
            ),
        )
        for name, path in PAGES.items():
            if name == "setup-access":
                continue
            tab.open(path)
            said = tab.page.get_by_role("alert").first
            said.wait_for()
            assert "1000 questions wait already" in said.inner_text()
            assert "ask again in a few seconds." in said.inner_text()
            tab.keep(
                f"error-{name}", ["light", "dark", "narrow"] if name in ("now", "incident") else ["light"]
            )


def test_a_recorder_that_is_away_is_said_and_what_stood_there_stays(browser: Any, full: Standing) -> None:
    with opened(browser, f"http://{full.address}", token_of(Role.ADMIN)) as tab:
        tab.open("/incidents", "Incidents")
        tab.page.get_by_role("region", name="Incidents", exact=True).wait_for()
        tab.page.route("**/api/v1/**", lambda route: route.abort())
        said = tab.page.get_by_role("alert").first
        said.wait_for()
        assert "what stands below is older" in said.inner_text()
        assert tab.page.get_by_role("region", name="Incidents", exact=True).is_visible()
        tab.keep("stale-incidents")
        tab.page.unroute("**/api/v1/**")
        said.wait_for(state="detached")  # it asks again by itself


def test_where_there_is_nothing_yet_every_page_says_what_to_do(browser: Any, bare: Standing) -> None:
    with opened(browser, f"http://{bare.address}", token_of(Role.ADMIN)) as tab:
        for name, path in {**PAGES, "sql": "/sql"}.items():
            if name in ("incident", "undo-of-an-incident", "records", "history", "state", "compare", "tree"):
                continue  # of something that is not there: the API says so
            tab.open(path)
            tab.loaded()
            said = [one.inner_text() for one in tab.page.locator("main .state, main .notice").all()]
            assert said, name
            assert any(TELLS_WHAT_TO_DO.search(one) for one in said), (name, said)
            tab.keep(f"empty-{name}")


def test_of_what_is_not_there_a_page_says_so(browser: Any, bare: Standing) -> None:
    with opened(browser, f"http://{bare.address}", token_of(Role.ADMIN)) as tab:
        for name in ("incident", "history"):
            tab.open(PAGES[name])
            tab.loaded()
            assert tab.page.locator("main .state").first.inner_text().strip()
            tab.keep(f"not-there-{name}", ["light"])


def test_what_is_not_complete_says_why(browser: Any, full: Standing) -> None:
    """A record whose full state nothing has settled, and an entity with a lost stretch."""
    with opened(browser, f"http://{full.address}", token_of(Role.ADMIN)) as tab:
        for name in ("now", "incident", "records", "history", "state", "compare", "tree", "trust"):
            tab.open(PAGES[name])
            tab.loaded()
            if name in ("records", "state"):
                warned = tab.page.locator(".honesty.warn").first
                assert "Not complete" in warned.inner_text()
            if name in ("now", "trust"):
                assert tab.page.locator(".part.lost").count(), "the lost stretch is drawn"
            tab.keep(f"incomplete-{name}")


def test_a_viewer_sees_no_button_that_the_api_would_refuse(browser: Any, full: Standing) -> None:
    with opened(browser, f"http://{full.address}", token_of(Role.VIEWER)) as tab:
        tab.open("/incidents/a-1")
        tab.page.get_by_text("Your token may look").wait_for()
        buttons = {one.inner_text() for one in tab.page.locator("main button").all()}
        assert not buttons & {"Undo it…", "Close", "A known job…", "Its cause is stopped"}
        tab.keep("viewer-incident")
        tab.open("/undo?incident=a-1")
        plan = tab.page.get_by_role("button", name="Plan the restore")
        plan.wait_for()
        assert plan.is_disabled()
        tab.open("/sql", "SQL")
        tab.page.get_by_text("needs an operator's").first.wait_for()
        assert tab.page.get_by_role("button", name=re.compile("^Run")).is_disabled()
        tab.keep("viewer-sql", ["light"])
    refused = full.ask("POST", "/api/v1/incidents/a-1/plan", {}, role=Role.VIEWER)
    assert refused.status == 403


def test_without_a_token_there_is_the_door_alone(browser: Any, full: Standing) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://{full.address}/incidents")
    page.get_by_label("Token").wait_for()
    assert page.get_by_role("table").count() == 0
    for look in LOOKS:
        tab = Tab(page, full.address)
        tab.look(look)
        page.screenshot(path=SHOTS / f"door-{look}.png")
    context.close()
