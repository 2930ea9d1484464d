"""What a transaction publishes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.change.diff import rebuild
from connectors.simulator.clock import MINUTE_MS
from connectors.simulator.errors import OrgError
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import OVERFLOW_RECORD_ID, Change, Op
from tests.unit.simulator_core.org_reader import create, header, published, quiet_org, update


def test_a_create_carries_every_value_and_names_no_changed_field() -> None:
    org = quiet_org()
    (record_id,) = create(org, "Account", Industry="Banking")
    (event,) = published(org)
    assert header(event)["changeType"] == "CREATE"
    assert header(event)["recordIds"] == [record_id]
    assert header(event)["changedFields"] == []
    assert event["Name"] == "North Freight"
    assert event["Industry"] == "Banking"
    assert event["Active__c"] is False
    assert event["CreatedById"] == event["OwnerId"] == org.administrator_id


def test_creates_of_one_transaction_are_not_merged() -> None:
    org = quiet_org()
    create(org, count=3)
    events = published(org)
    assert [header(event)["sequenceNumber"] for event in events] == [1, 2, 3]
    assert len({header(event)["transactionKey"] for event in events}) == 1
    assert len({header(event)["commitNumber"] for event in events}) == 1


def test_the_same_change_of_many_records_is_one_event_with_all_their_ids() -> None:
    org = quiet_org()
    ids = create(org, count=20)
    org.clock.advance(1_000)
    update(org, "Account", ids, Rating="Hot")
    merged = published(org)[-1]
    assert header(merged)["recordIds"] == ids
    assert merged["Rating"] == "Hot"
    layout = org.entities["Account"].layout
    assert header(merged)["changedFields"] == list(layout.bitmaps(["Rating", "LastModifiedDate"]))


def test_a_merged_event_has_at_most_200_ids() -> None:
    org = quiet_org()
    ids = create(org, count=450)
    org.clock.advance(1_000)
    update(org, "Account", ids, Rating="Hot")
    assert [len(header(event)["recordIds"]) for event in published(org)[450:]] == [200, 200, 50]


def test_different_changes_of_one_transaction_stay_apart_in_order() -> None:
    org = quiet_org()
    first, second = create(org, count=2)
    org.commit(
        [
            Change("Account", Op.UPDATE, first, {"Rating": "Hot"}),
            Change("Account", Op.UPDATE, second, {"Rating": "Cold"}),
            Change("Account", Op.DELETE, first),
        ],
        user_id=org.administrator_id,
    )
    events = published(org)[2:]
    assert [(header(event)["changeType"], header(event)["recordIds"]) for event in events] == [
        ("UPDATE", [first]),
        ("UPDATE", [second]),
        ("DELETE", [first]),
    ]


def test_several_changes_of_one_record_in_one_transaction_are_one_event_of_the_first_kind() -> None:
    org = quiet_org()
    record_id = org.new_id("Account")
    org.commit(
        [
            Change("Account", Op.CREATE, record_id, {"Name": "Blue Foods"}),
            Change("Account", Op.UPDATE, record_id, {"Rating": "Warm"}),
        ],
        user_id=org.administrator_id,
    )
    (event,) = published(org)
    assert (header(event)["changeType"], event["Rating"]) == ("CREATE", "Warm")


def test_a_field_set_to_null_is_named_in_nulled_fields() -> None:
    org = quiet_org()
    ids = create(org, Phone="1")
    update(org, "Account", ids, BillingAddress__City="Lyon", BillingAddress__Street="1 Mill Lane")
    update(org, "Account", ids, BillingAddress__City=None, Phone=None)
    event = published(org)[-1]
    layout = org.entities["Account"].layout
    assert header(event)["nulledFields"] == list(layout.bitmaps(["Phone", "BillingAddress.City"]))
    assert event["BillingAddress"] is None


def test_what_follows_from_a_stage_is_in_the_same_event() -> None:
    org = quiet_org()
    ids = create(org, "Opportunity", Name="Quote", StageName="Prospecting", Amount=1_000.0)
    update(org, "Opportunity", ids, StageName="Closed Won")
    event = published(org)[-1]
    assert (event["IsClosed"], event["IsWon"], event["Probability"]) == (True, True, 100.0)
    assert event["ExpectedRevenue"] == 1_000.0


def test_children_are_deleted_and_undeleted_with_their_account() -> None:
    org = quiet_org()
    (account,) = create(org)
    (contact,) = create(org, "Contact", AccountId=account)
    org.commit([Change("Account", Op.DELETE, account)], user_id=org.administrator_id)
    assert len(org.entities["Contact"].records) == 0
    org.commit([Change("Account", Op.UNDELETE, account)], user_id=org.administrator_id)
    kinds = [(header(event)["changeType"], header(event)["recordIds"]) for event in published(org)[2:]]
    assert kinds == [
        ("DELETE", [account]),
        ("DELETE", [contact]),
        ("UNDELETE", [account]),
        ("UNDELETE", [contact]),
    ]


def test_a_hard_delete_publishes_nothing_but_is_in_the_truth() -> None:
    org = quiet_org()
    (account,) = create(org)
    org.commit([Change("Account", Op.HARD_DELETE, account)], user_id=org.administrator_id)
    assert len(published(org)) == 1
    last = org.truth.changes()[-1]
    assert (last.kind, last.op, last.event_id) == ("", "HARD_DELETE", "")
    assert org.truth.state("Account")[account].status == "deleted"
    assert org.query("SELECT Id FROM Account", include_deleted=True).total == 0


def test_a_refused_transaction_changes_nothing() -> None:
    org = quiet_org()
    (account,) = create(org)
    with pytest.raises(OrgError, match="ENTITY_IS_DELETED"):
        org.commit(
            [
                Change("Account", Op.UPDATE, account, {"Rating": "Hot"}),
                Change("Account", Op.UPDATE, "001Sm0000009999IAA", {"Rating": "Hot"}),
            ],
            user_id=org.administrator_id,
        )
    assert org.row("Account", account)["Rating"] is None
    assert len(org.truth) == 1


def test_origin_says_the_client_only_if_the_caller_named_one() -> None:
    org = quiet_org()
    create(org)
    org.commit(
        [Change("Account", Op.CREATE, None, {"Name": "x"})],
        user_id=org.administrator_id,
        origin="com/salesforce/api/rest/66.0",
        client="ErpSync",
    )
    assert [header(event)["changeOrigin"] for event in published(org)] == [
        "",
        "com/salesforce/api/rest/66.0;client=ErpSync",
    ]


def test_an_unselected_entity_leaves_a_hole_in_the_sequence() -> None:
    org = quiet_org()
    org.set_channel("ChangeEvents", ["Contact"])
    org.commit(
        [Change("Account", Op.CREATE, None, {"Name": "x"}), Change("Contact", Op.CREATE, None, {})],
        user_id=org.administrator_id,
    )
    (event,) = published(org)
    assert header(event)["sequenceNumber"] == 2


# Knobs


def test_a_gap_event_hides_the_values_and_the_truth_knows_them() -> None:
    org = quiet_org(replace(Knobs.kind(), gap_share=1.0))
    (account,) = create(org, Rating="Hot")
    (event,) = published(org)
    assert header(event)["changeType"] == "GAP_CREATE"
    assert header(event)["recordIds"] == [account]
    assert all(value is None for name, value in event.items() if name != "ChangeEventHeader")
    (change,) = org.truth.changes()
    assert (change.kind, change.op, change.changed["Rating"]) == ("GAP_CREATE", "CREATE", "Hot")


def test_a_change_made_before_its_commit_has_its_stamp_then() -> None:
    org = quiet_org()
    org.clock.advance(20 * MINUTE_MS)
    org.commit(
        [Change("Account", Op.CREATE, None, {"Name": "x"})],
        user_id=org.administrator_id,
        changed_before_ms=7 * MINUTE_MS,
    )
    (event,) = published(org)
    assert event["LastModifiedDate"] == header(event)["commitTimestamp"] - 7 * MINUTE_MS
    (record,) = org.entities["Account"].records
    assert record.system_modstamp == event["LastModifiedDate"]


def test_a_change_is_never_before_an_earlier_commit_of_the_same_record() -> None:
    org = quiet_org()
    (account,) = create(org)
    org.clock.advance(2 * MINUTE_MS)
    org.commit(
        [Change("Account", Op.UPDATE, account, {"Rating": "Hot"})],
        user_id=org.administrator_id,
        changed_before_ms=9 * MINUTE_MS,
    )
    created, updated = published(org)
    assert updated["ChangeEventHeader"]["commitTimestamp"] > created["CreatedDate"]
    assert org.entities["Account"].records.get(account).system_modstamp == created["CreatedDate"]  # type: ignore[union-attr]


def test_commit_times_differ_by_a_second_inside_a_transaction() -> None:
    knobs = replace(Knobs.kind(), commit_jitter_ms=1_000, commit_jitter_share=1.0)
    org = quiet_org(knobs)
    for _ in range(20):
        create(org, count=4)
    by_transaction: dict[str, set[int]] = {}
    for event in published(org):
        times = by_transaction.setdefault(header(event)["transactionKey"], set())
        times.add(header(event)["commitTimestamp"])
    spreads = {max(times) - min(times) for times in by_transaction.values()}
    assert spreads == {0, 1_000}


def test_stamps_come_from_clocks_that_are_up_to_two_seconds_off() -> None:
    org = quiet_org(replace(Knobs.kind(), server_skew_max_ms=2_000))
    org.clock.advance(60_000)
    for _ in range(200):
        create(org)
    skews = {event["CreatedDate"] - header(event)["commitTimestamp"] for event in published(org)}
    assert min(skews) >= -3_000
    assert max(skews) <= 2_000
    assert len(skews) > 3


def test_what_is_geocoded_moves_no_stamp_when_values_are_silent() -> None:
    org = quiet_org(replace(Knobs.kind(), silent_values=True))
    (account,) = create(org)
    record = org.entities["Account"].records.get(account)
    assert record is not None
    before = record.system_modstamp
    org.clock.advance(60_000)
    org.commit(
        [Change("Account", Op.UPDATE, account, {"BillingAddress.Latitude": 1.5})],
        user_id=org.administrator_id,
        stamped=False,
    )
    assert record.system_modstamp == before
    layout = org.entities["Account"].layout
    assert header(published(org)[-1])["changedFields"] == list(layout.bitmaps(["BillingAddress.Latitude"]))


def test_silent_values_publish_nothing() -> None:
    org = quiet_org()
    (account,) = create(org)
    org.set_silently("Account", account, {"LastActivityDate": 0})
    assert len(published(org)) == 1
    assert org.row("Account", account)["LastActivityDate"] == "1970-01-01"
    with pytest.raises(ValueError, match="publishes its changes"):
        org.set_silently("Account", account, {"Rating": "Hot"})


def test_hidden_fields_are_absent_from_describe_and_queries() -> None:
    org = quiet_org(replace(Knobs.kind(), hidden_fields=("Account.Credit_Limit__c",)))
    create(org, Credit_Limit__c=5.0)
    names = {field["name"] for field in org.describe("Account")["fields"]}
    assert "Credit_Limit__c" not in names
    assert "Rating" in names
    with pytest.raises(OrgError, match="INVALID_FIELD"):
        org.query("SELECT Credit_Limit__c FROM Account")
    assert "Credit_Limit__c" not in org.truth.state("Account")[next(iter(org.truth.state("Account")))].fields
    assert published(org)[0]["Credit_Limit__c"] is None


def test_a_transaction_too_large_ends_in_one_overflow_event_an_entity() -> None:
    org = quiet_org(replace(Knobs.kind(), overflow_changes_max=5))
    create(org, count=8)
    events = published(org)
    assert [header(event)["changeType"] for event in events] == ["CREATE"] * 5 + ["GAP_OVERFLOW"]
    assert header(events[-1])["recordIds"] == [OVERFLOW_RECORD_ID]
    assert len(org.truth.state("Account")) == 8


def test_an_incompatible_conversion_empties_the_field_with_a_wildcard_event() -> None:
    org = quiet_org()
    (account,) = create(org, Renewal_Date__c=86_400_000)
    org.change_schema("Account", retype={"Renewal_Date__c": "Text"})
    event = published(org)[-1]
    assert header(event)["recordIds"] == ["001*"]
    assert header(event)["changedFields"] == []
    assert org.truth.state("Account")[account].fields["Renewal_Date__c"] is None
    assert org.truth.state("Account", 1)[account].fields["Renewal_Date__c"] is not None


def test_a_compatible_conversion_publishes_nothing() -> None:
    org = quiet_org()
    create(org, Site="Hall 3")
    org.change_schema("Account", retype={"Site": "StringPlusClob"})
    assert len(published(org)) == 1


def test_a_long_text_comes_as_a_diff_that_gives_the_new_text() -> None:
    org = quiet_org(replace(Knobs.kind(), long_text_diffs=True))
    lines = [f"Line {number} of a long description of an account" for number in range(40)]
    old = "\r\n".join(lines)
    new = "\r\n".join([*lines[:7], "Another line", *lines[8:20], *lines[21:], "One more"])
    ids = create(org, Description=old)
    update(org, "Account", ids, Description=new)
    event = published(org)[-1]
    named = list(org.entities["Account"].layout.bitmaps(["Description"]))
    assert header(event)["diffFields"] == named
    assert len(event["Description"]) < len(new) / 2
    assert rebuild(old, event["Description"]) == new
    assert org.truth.changes()[-1].changed["Description"] == new


def test_a_text_that_changed_much_comes_whole() -> None:
    org = quiet_org(replace(Knobs.kind(), long_text_diffs=True))
    ids = create(org, Description="old\n" * 400)
    update(org, "Account", ids, Description="new\n" * 400)
    event = published(org)[-1]
    assert header(event)["diffFields"] == []
    assert event["Description"] == "new\n" * 400
