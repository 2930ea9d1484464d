"""Evidence that must be enough by itself, when the actor does nothing that it does not do every week."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cdc.detect.detector import Detector
from tests.unit.detect.test_runaways import AT, after_four_weeks, four_weeks
from tests.unit.detect.weeks import BEGIN, DAY, FLOW, HOUR, LOADER, MINUTE, UI, WEEK, Row, SmallOrg, as_batch


def loads(
    org: SmallOrg, entity: str, values: Callable[[], dict[str, str | None]], count: int = 4
) -> list[Row]:
    """What the admin loads every other day: as many records, as varied."""
    return [
        row
        for n in range(count)
        for row in org.bulk(entity, org.some(entity, 700), AT + 2 * n * DAY, org.admin, LOADER, values)
    ]


def pages(rows: list[Row], since: int) -> list[dict[str, Any]]:
    found = after_four_weeks(rows)
    return [v for v in found if v["severity"] == "page" and v["state"] == "open" and v["decided_at"] >= since]


def test_three_of_four_values_lost_in_a_load_like_every_other_page() -> None:
    org, r = SmallOrg(11), SmallOrg(11).random

    def good() -> dict[str, str | None]:
        return {
            "Name": f"Account {r.randint(0, 10**9)}",
            "BillingAddress.City": f"City {r.randint(0, 300)}",
        }

    def bad() -> dict[str, str | None]:
        return good() | ({"BillingAddress.City": None} if r.random() < 0.75 else {})

    at = AT + 10 * DAY
    rows = loads(org, "Account", good) + org.bulk(
        "Account", org.some("Account", 700), at, org.admin, LOADER, bad
    )
    (page,) = pages(rows, AT)
    assert page["decided_at"] >= at
    assert page["targets"][0]["field"] == "BillingAddress.City"
    assert page["records"] <= 300


def test_values_that_lost_their_form_in_a_load_like_every_other_page() -> None:
    org, r = SmallOrg(11), SmallOrg(11).random
    at = AT + 10 * DAY
    good = loads(org, "Contact", lambda: {"Phone": f"+49 {r.randint(10**6, 10**9)}"})
    cut = org.bulk(
        "Contact",
        org.some("Contact", 700),
        at,
        org.admin,
        LOADER,
        lambda: {"Phone": str(r.randint(100, 999))},
    )
    (page,) = pages(good + cut, AT)
    assert page["decided_at"] >= at
    assert page["targets"][0]["field"] == "Phone"


def test_a_list_that_is_written_a_second_time_in_other_letters_pages_in_its_midst() -> None:
    org = SmallOrg(11)
    first = org.created_leads(450, AT)
    again = [
        {**row, "record_id": org._new("Lead"), "committed_at": AT + MINUTE + n * 40}
        | {"values": {f: v.upper() if f in ("Name", "Email") else v for f, v in row["values"].items()}}
        for n, row in enumerate(first)
    ]
    (page,) = pages(first + again, AT)
    assert 450 < page["records"] <= 700
    assert "in a row" in str(page["evidence"])


def test_records_dealt_to_several_owners_with_their_regions_page_nobody() -> None:
    org, r = SmallOrg(11), SmallOrg(11).random

    def dealt() -> dict[str, str | None]:
        return {"OwnerId": r.choice(org.users[:8]), "Region__c": f"R{r.randint(0, 9)}"}

    rows = org.bulk("Account", org.some("Account", 900), AT, org.admin, LOADER, dealt)
    assert pages(rows, AT) == []


def test_two_flows_that_undo_each_other_are_no_habit_on_their_first_day() -> None:
    """The first hours fall on records that had changed to and fro already, by chance."""
    org = SmallOrg(11)
    some, rows = org.some("Case", 70), list[Row]()
    for n in range(10):
        hit = some[:25] if n < 3 else some
        value = ("New", "Working")[n % 2]
        rows += org.bulk("Case", hit, AT + n * HOUR, "005F", FLOW, lambda value=value: {"Status": value})
    found = pages(rows, AT)
    assert len(found) == 1
    assert found[0]["decided_at"] <= AT + 6 * HOUR


def test_one_profile_for_a_dozen_users_pages() -> None:
    org = SmallOrg(11)
    detector = Detector.restore(four_weeks()[0])
    stock = [
        org._row("BASELINE", "User", user, BEGIN, "", FLOW, {"ProfileId": f"00e{n % 5}"})
        for n, user in enumerate(org.users)
    ]
    detector.take(as_batch(stock))
    rows = org.bulk("User", org.users[:14], AT, org.admin, UI, lambda: {"ProfileId": "00e0"})
    (page, *_) = [v for v in detector.take(as_batch(rows)) if v["severity"] == "page"]
    assert (page["targets"][0]["field"], page["records"]) == ("ProfileId", 12)


def test_a_month_of_changed_profiles_one_by_one_pages_nobody() -> None:
    org = SmallOrg(11)
    detector = Detector.restore(four_weeks()[0])
    rows = [
        row
        for n in range(20)
        for row in org.bulk(
            "User", [org.users[n]], AT + n * DAY, org.admin, UI, lambda: {"ProfileId": "00e0"}
        )
    ]
    assert [v for v in detector.take(as_batch(rows)) if v["severity"] == "page"] == []
    assert rows[-1]["committed_at"] < AT + 3 * WEEK
