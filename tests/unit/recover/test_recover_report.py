"""The report says what was never done, and shows what was."""

from __future__ import annotations

from datetime import timedelta

from cdc.recover.page import as_html
from cdc.recover.picture import as_svg, in_terminal
from cdc.recover.report import report
from cdc.recover.show import blast
from tests.unit.answer.recorded import insert
from tests.unit.recover.story import A1, A2, BAD_USER, ORG, T0, Story


def opened(story: Story) -> None:
    """An incident by hand over what the bad user did."""
    scope = f'{{"include": [{{"users": ["{BAD_USER}"]}}]}}'
    row = {"incident_id": "i-1", "version": 1, "org": ORG, "title": "<b>load</b>", "state": "open"}
    insert(story.connection, "incidents", [{**row, "scope": scope, "opened_at": T0}])


def answers(story: Story) -> list[str]:
    return [row[1] for row in report(story.connection, owner="Data operations").rows]


def wrecked() -> Story:
    story = Story()
    story.create(A1, {"Rating": "Hot"})
    story.create(A2, {"Rating": "Hot"})
    story.update(A1, {"Rating": None}, user=BAD_USER)
    story.update(A2, {"Rating": None}, user=BAD_USER)
    opened(story)
    return story


def test_without_any_drill_the_report_says_never_tested() -> None:
    owner, tested, last, _, incidents = answers(wrecked())
    assert owner.startswith("Data operations.")
    assert "never tested" in tested
    assert last == "There was no verified restore in this time."
    assert "1 incident touched 2 records; still open: 1" in incidents


def test_the_last_good_drill_is_shown_with_what_it_measured() -> None:
    story = wrecked()
    good = {
        "drill_id": "d-1",
        "org": ORG,
        "kind": "sandbox",
        "started_at": T0,
        "records": 50,
        "equal": 50,
        "rto_from_detection_ms": 8_500,
        "rto_from_decision_ms": 3_000,
        "rpo_ms": 0,
        "problem": "",
    }
    failed = {**good, "drill_id": "d-2", "started_at": T0 + timedelta(hours=1), "problem": "no alert"}
    insert(story.connection, "drills", [good, failed])
    tested = answers(story)[1]
    assert "sandbox drill of 2026-11-23 10:00 UTC: recovery time 8.5 s from detection" in tested
    assert "50 of 50 records were equal afterwards" in tested


def test_the_page_is_whole_fetches_nothing_and_shows_no_markup_of_the_org() -> None:
    page = as_html(report(wrecked().connection).as_json()["report"], "acme")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>")
    assert "<script" not in page
    assert "http" not in page
    assert "&lt;b&gt;load&lt;/b&gt;" in page


def test_the_picture_shows_when_and_what_and_the_terminal_says_the_same() -> None:
    body = blast(wrecked().connection, "i-1").as_json()["blast"]
    svg, lines = as_svg(body), in_terminal(body)
    assert "Account.Rating" in svg
    assert "&lt;b&gt;load&lt;/b&gt;" in svg
    assert lines[-1].startswith("Account.Rating")
    assert lines[-1].endswith(" 2")
