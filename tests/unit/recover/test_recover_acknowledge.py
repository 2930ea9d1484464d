"""What is said before an alert is acknowledged is what the detector then does."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.detect.detector import Detector
from cdc.recover.acknowledge import acknowledged, silences
from tests.unit.detect.test_runaways import AT, after_four_weeks, four_weeks
from tests.unit.detect.weeks import DAY, ERP, HOUR, SmallOrg, as_batch

JOB = "005J"


def alert(**other: Any) -> dict[str, Any]:
    return {
        "alert_id": "a1",
        "first_change_at": "2026-10-07T01:20:00.000Z",
        "records": 1200,
        "kinds": {"UPDATE": 1200},
        "actors": [
            {"user_id": "005J", "user_name": "Sync", "client": "erp-sync", "origin": "x", "share": 1.0}
        ],
        "targets": [
            {"entity": "Account", "field": "OwnerId", "top_values": [{"value": "005B", "share": 1.0}]},
            {"entity": "Account", "field": "Rating", "top_values": [{"value": None, "share": 0.95}]},
            {"entity": "Account", "field": "Name", "top_values": [{"value": "x", "share": 0.1}]},
        ],
        **other,
    }


def test_who_what_how_many_when_and_with_which_values_is_said() -> None:
    assert silences(alert()) == [
        "UPDATE of up to 2,400 Account records by Sync through erp-sync, 22:00 to 05:00 UTC",
        "only while OwnerId is set to '005B'",
        "only while Rating is set to null",
        "still told: deletes and nulls in bulk, loops, values that are not usual, more records than that",
    ]


def test_what_the_alert_does_not_know_is_said_in_words() -> None:
    bare = alert(actors=[{"user_id": "", "client": "", "origin": ""}], targets=[], kinds={"DELETE": 5})
    assert silences(bare)[0].startswith(
        "DELETE of up to 2,400 the entity records by this user through no client"
    )


@pytest.mark.parametrize("is_preview", [True, False])
def test_a_preview_acknowledges_nothing(is_preview: bool) -> None:
    told = acknowledged(alert(), is_preview=is_preview)
    assert (told["acknowledged"], told["silences"]) == (not is_preview, silences(alert()))


def pages_after_it_was_acknowledged(count: int, later: int, owner: int, **how: Any) -> list[str]:
    org = SmallOrg(11)
    detector = Detector.restore(four_weeks()[0])

    def bulk(records: int, at: int, user: str) -> Any:
        ids = org.some("Account", records)
        return as_batch(org.bulk("Account", ids, at, JOB, ERP, lambda: {"OwnerId": user}, **how))

    (page, *_) = [v for v in detector.take(bulk(700, AT, org.users[1])) if v["severity"] == "page"]
    detector.tick(AT + 3 * HOUR)
    detector.acknowledge(page["alert_id"])
    found = detector.take(bulk(count, AT + later, org.users[owner]))
    return [v["title"] for v in found if v["severity"] == "page"]


@pytest.mark.parametrize(("count", "hours"), [(700, 0), (1300, 0), (700, 3), (700, -3)])
def test_the_same_job_up_to_twice_as_large_and_near_its_hour_is_not_told(count: int, hours: int) -> None:
    assert pages_after_it_was_acknowledged(count, DAY + hours * HOUR, owner=1) == []


def test_a_runaway_is_told_though_another_job_was_acknowledged() -> None:
    org = SmallOrg(11)
    rows = org.bulk("Contact", org.some("Contact", 900), AT, JOB, ERP, lambda: {"Phone": None})
    assert any(v["severity"] == "page" for v in after_four_weeks(rows))
