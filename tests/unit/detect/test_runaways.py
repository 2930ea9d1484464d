"""Runaways page while they are small; ordinary weeks do not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from cdc.detect.detector import Detector
from schemas import own
from tests.unit.detect.weeks import (
    BEGIN,
    DAY,
    ERP,
    FLOW,
    HOUR,
    LOADER,
    STAGES,
    UI,
    WEEK,
    Row,
    SmallOrg,
    as_batch,
)

RECORDS_BEFORE_PAGE = 600
AT = BEGIN + 4 * WEEK + 2 * DAY + 11 * HOUR


@cache
def four_weeks(seed: int = 11) -> tuple[bytes, tuple[dict[str, Any], ...]]:
    org = SmallOrg(seed)
    detector = Detector("acme")
    detector.take(as_batch(list(org.baseline())))
    found = detector.take(as_batch(org.weeks(0, 4)))
    return detector.state(), tuple(found)


def after_four_weeks(rows: list[Row]) -> list[dict[str, Any]]:
    return Detector.restore(four_weeks()[0]).take(as_batch(rows))


def stage_by_flow(org: SmallOrg) -> list[Row]:
    ids = org.some("Opportunity", 3000)
    return org.bulk("Opportunity", ids, AT, "005F", FLOW, lambda: {"StageName": "Closed Lost"})


def stage_by_known_automation(org: SmallOrg) -> list[Row]:
    ids = org.some("Opportunity", 3000)
    return org.bulk("Opportunity", ids, AT, org.automation, FLOW, lambda: {"StageName": "Closed Lost"})


def nulled_field(org: SmallOrg) -> list[Row]:
    ids = org.some("Contact", 2000)
    return org.bulk("Contact", ids, AT, org.integration, ERP, lambda: {"Phone": None})


def nulled_in_a_load(org: SmallOrg) -> list[Row]:
    ids, r = org.some("Account", 1000), org.random
    return org.bulk(
        "Account", ids, AT, org.admin, LOADER, lambda: {"Name": f"A {r.random()}", "Industry": None}
    )


def mass_delete(org: SmallOrg) -> list[Row]:
    return org.bulk("Lead", org.some("Lead", 1000), AT, org.admin, LOADER, dict, kind="DELETE")


def owner_change(org: SmallOrg) -> list[Row]:
    ids = org.some("Account", 1500)
    return org.bulk("Account", ids, AT, org.admin, LOADER, lambda: {"OwnerId": org.users[3]})


def trigger_loop(org: SmallOrg) -> list[Row]:
    ids, rows = org.some("Case", 60), []
    for n in range(60):
        rows += org.bulk(
            "Case", ids, AT + n * 30_000, "005T", FLOW, lambda: {"Name": str(org.random.random())}
        )
    return rows


def nightly_job_gone_bad(org: SmallOrg) -> list[Row]:
    ids, at = org.some("Opportunity", 600), BEGIN + 4 * WEEK + 2 * DAY + 2 * HOUR
    return org.bulk(
        "Opportunity", ids, at, org.automation, FLOW, lambda: {"Score__c": "0", "Scored_On__c": "x"}
    )


RUNAWAYS: tuple[tuple[Callable[[SmallOrg], list[Row]], str | None], ...] = (
    (stage_by_flow, "StageName"),
    (stage_by_known_automation, "StageName"),
    (nulled_field, "Phone"),
    (nulled_in_a_load, "Industry"),
    (mass_delete, None),
    (owner_change, "OwnerId"),
    (trigger_loop, "Name"),
    (nightly_job_gone_bad, "Score__c"),
)


@pytest.mark.parametrize(("runaway", "field"), RUNAWAYS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_runaway_pages_while_it_is_small(
    runaway: Callable[[SmallOrg], list[Row]], field: str | None
) -> None:
    rows = runaway(SmallOrg(11))
    pages = [v for v in after_four_weeks(rows) if v["severity"] == "page" and v["state"] == "open"]
    assert len(pages) == 1
    (page,) = pages
    assert page["records"] < RECORDS_BEFORE_PAGE
    assert page["actors"][0]["user_id"] == rows[0]["user_id"]
    assert (page["targets"][0]["entity"], page["targets"][0]["field"]) == (rows[0]["entity"], field)


def test_the_page_says_who_what_from_what_is_usual_and_what_to_run() -> None:
    org = SmallOrg(11)
    page = next(v for v in after_four_weeks(stage_by_flow(org)) if v["severity"] == "page")
    assert page["title"].startswith("User 005F without a client set StageName to 'Closed Lost' on ")
    assert page["title"].endswith(
        f"{page['records']:,} Opportunity records in {page['records'] * 20 // 1000} s"
    )
    assert page["targets"][0]["top_values"] == [{"value": "Closed Lost", "share": 1.0}]
    assert {line["channel"] for line in page["evidence"]} >= {"D2", "D4"}
    assert page["usual"]
    assert page["next"].startswith("cdc state Opportunity --before ")
    assert page["samples"]
    assert all(s["after"] == "Closed Lost" and s["before"] is None for s in page["samples"])
    assert page["kinds"] == {"UPDATE": page["changes"]}
    assert (page["merged_into"], page["setup_before"], page["actors"][0]["user_name"]) == (None, None, None)


def test_every_version_is_a_record_of_the_alert_schema() -> None:
    versions = after_four_weeks(nulled_field(SmallOrg(11)))
    assert [v["version"] for v in versions] == list(range(1, len(versions) + 1))
    for version in versions:
        assert own.decode("alert", own.encode("alert", version)) == version


def test_an_alert_grows_when_it_is_four_times_larger_and_closes_after_a_pause() -> None:
    org = SmallOrg(11)
    later = org.bulk(
        "Contact", org.some("Contact", 1), AT + 3 * HOUR, org.users[0], UI, lambda: {"Name": "n"}
    )
    versions = after_four_weeks([*stage_by_flow(org), *later])
    opened, *growing, closed = [v for v in versions if v["severity"] == "page"]
    assert opened["state"] == "open"
    assert [v["state"] for v in growing] == ["growing"] * len(growing)
    assert growing[0]["records"] >= 4 * opened["records"]
    assert (closed["state"], closed["records"]) == ("closed", 3000)
    assert len({v["alert_id"] for v in versions}) == 1


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_four_ordinary_weeks_page_nobody(seed: int) -> None:
    found = four_weeks(seed)[1]
    assert [v["title"] for v in found if v["severity"] == "page"] == []
    assert len({v["alert_id"] for v in found}) <= 4 * 5


def test_an_import_and_a_month_end_after_four_weeks_page_nobody() -> None:
    org = SmallOrg(11)
    month_end = [
        row
        for user in org.users
        for row in org.bulk(
            "Opportunity",
            org.some("Opportunity", 60),
            AT,
            user,
            UI,
            lambda: {"StageName": org.random.choice(STAGES[3:]), "CloseDate": "2026-10-31"},
            step_ms=15_000,
            chunk=1,
        )
    ]
    rows = sorted(
        [*org.created_leads(3000, AT, user="005New"), *month_end], key=lambda r: int(r["committed_at"])
    )
    assert [v["title"] for v in after_four_weeks(rows) if v["severity"] == "page"] == []


def test_thousands_of_one_value_in_the_first_hours_of_a_journal_alert() -> None:
    org = SmallOrg(11)
    detector = Detector("acme")
    detector.take(as_batch(list(org.baseline())))
    ids = org.some("Opportunity", 3000)
    rows = org.bulk("Opportunity", ids, BEGIN + HOUR, "005F", FLOW, lambda: {"StageName": "Closed Lost"})
    found = detector.take(as_batch(rows))
    assert found[0]["state"] == "open"
    assert "learning" in found[0]["usual"]
    assert any(v["severity"] == "page" for v in found)


def test_full_states_teach_what_exists_and_are_never_evidence() -> None:
    org = SmallOrg(11)
    rows = [{**row, "values": {"Name": "one"}} for row in org.baseline()]
    assert Detector("acme").take(as_batch([*rows, *({**row, "kind": "REREAD"} for row in rows)])) == []


@pytest.mark.parametrize(("record_id", "kind"), [("500*", "UPDATE"), ("000000000000000AAA", "GAP_OVERFLOW")])
def test_an_event_that_stands_for_every_record_pages_at_once(record_id: str, kind: str) -> None:
    rows = SmallOrg(1).bulk("Case", [record_id], AT, "005A", FLOW, dict, kind=kind)
    (page,) = Detector("acme").take(as_batch(rows))
    assert (page["severity"], page["evidence"][0]["channel"], page["at_change"]) == ("page", "D0", 1)


def test_the_same_mass_delete_on_a_fourth_night_is_usual() -> None:
    org = SmallOrg(11)
    detector = Detector.restore(four_weeks()[0])
    said = []
    for night in range(6):
        at = BEGIN + 4 * WEEK + night * DAY + 3 * HOUR
        found = detector.take(
            as_batch(org.bulk("Case", org.some("Case", 400), at, "005P", FLOW, dict, kind="DELETE"))
        )
        said.append({v["severity"] for v in found if v["state"] == "open"})
    assert "page" in said[0]
    assert all("page" not in severities for severities in said[1:])
    assert said[4:] == [set(), set()]


def test_an_acknowledged_job_is_learned_and_its_volume_no_longer_counts() -> None:
    org = SmallOrg(11)
    detector = Detector.restore(four_weeks()[0])
    rows = org.bulk("Account", org.some("Account", 700), AT, "005Q", ERP, lambda: {"OwnerId": org.users[1]})
    (page, *_) = [v for v in detector.take(as_batch(rows)) if v["severity"] == "page"]
    detector.tick(AT + HOUR)
    detector.acknowledge(page["alert_id"])
    again = [{**row, "committed_at": row["committed_at"] + 2 * DAY + 5 * HOUR} for row in rows]
    said = detector.take(as_batch(again))
    assert [v for v in said if v["severity"] == "page" and v["alert_id"] != page["alert_id"]] == []


def test_titles_tell_no_values_of_fields_that_are_not_picklists() -> None:
    org = SmallOrg(11)
    ids = org.some("Contact", 2000)
    rows = org.bulk("Contact", ids, AT, "005F", FLOW, lambda: {"Name": "Erika Mustermann"})
    versions = after_four_weeks(rows)
    assert versions
    assert all("Erika" not in v["title"] and "Erika" not in str(v["evidence"]) for v in versions)
