"""An alert names the field that was set, not those that Salesforce moved with it."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.detect.derived import companions
from cdc.detect.detector import Detector
from tests.unit.detect.test_runaways import AT, after_four_weeks
from tests.unit.detect.weeks import FLOW, SmallOrg, as_batch

CLOSED = {
    "StageName": "Closed Lost",
    "Probability": "0",
    "ForecastCategory": "Omitted",
    "ForecastCategoryName": "Omitted",
    "IsClosed": "true",
    "ExpectedRevenue": "0",
    "LastStageChangeDate": "2026-10-06T11:00:00Z",
    "LastModifiedDate": "2026-10-06T11:00:00Z",
    "LastModifiedById": "005F",
}


def pages_of(values: dict[str, str | None], entity: str = "Opportunity") -> list[dict[str, Any]]:
    org = SmallOrg(11)
    rows = org.bulk(entity, org.some(entity, 2000), AT, "005F", FLOW, lambda: values)
    return [v for v in after_four_weeks(rows) if v["severity"] == "page"]


def test_a_page_names_the_stage_and_none_of_the_fields_that_the_stage_moves() -> None:
    for version in pages_of(dict(sorted(CLOSED.items()))):
        assert [t["field"] for t in version["targets"]] == ["StageName"]
        assert " set StageName to 'Closed Lost' on " in version["title"]
        assert {s["field"] for s in version["samples"]} == {"StageName"}
        said = " ".join(str(line["sentence"]) for line in version["evidence"])
        assert not any(name in said for name in CLOSED if name != "StageName")


def test_a_field_that_others_move_is_named_where_it_was_set_by_itself() -> None:
    org, detector = SmallOrg(11), Detector("acme")
    detector.take(
        as_batch(
            [
                {**row, "values": {**row["values"], "Probability": str(n % 90)}}
                for n, row in enumerate(org.baseline())
                if row["entity"] == "Opportunity"
            ]
        )
    )
    ids = org.some("Opportunity", 2000)
    rows = org.bulk("Opportunity", ids, AT, "005F", FLOW, lambda: {"Probability": "0"})
    (page, *_) = [v for v in detector.take(as_batch(rows)) if v["severity"] == "page"]
    assert [t["field"] for t in page["targets"]] == ["Probability"]


@pytest.mark.parametrize(
    ("entity", "writes", "moved"),
    [
        ("Opportunity", {"StageName": 100, "Probability": 100, "IsWon": 40}, {"Probability", "IsWon"}),
        ("Opportunity", {"StageName": 10, "Probability": 100}, set()),
        ("Opportunity", {"ForecastCategory": 100}, set()),
        ("Case", {"Status": 50, "IsClosed": 50, "ClosedDate": 50, "Priority": 50}, {"IsClosed", "ClosedDate"}),
        ("Contact", {"Name": 9, "FirstName": 0, "LastName": 9}, {"Name"}),
        ("Account", {"Name": 9}, set()),
        ("Account", {"BillingAddress.City": 9, "BillingAddress.GeocodeAccuracy": 9}, {"BillingAddress.GeocodeAccuracy"}),
        ("Thing__c", {"StageName": 9, "Probability": 9}, set()),
    ],
)  # fmt: skip
def test_what_moves_with_another_is_known_by_entity(
    entity: str, writes: dict[str, int], moved: set[str]
) -> None:
    assert companions(entity, writes) == moved
