"""What an org does by itself when records are saved: triggers, cascades, lookups, merges, the Recycle Bin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.simulator.clock import DAY_MS
from connectors.simulator.errors import OrgError
from connectors.simulator.knobs import Knobs
from connectors.simulator.merging import merge_changes
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.saving import Caller
from tests.unit.simulator_core.org_reader import create, header, published, quiet_org, update


def trigger(org: SimulatedOrg, **rule: Any) -> None:
    org.automation.add("trigger", {"name": f"T{len(org.automation.rules)}", **rule})


def value(org: SimulatedOrg, entity: str, record_id: str, path: str) -> Any:
    record = org.entities[entity].records.get(record_id)
    assert record is not None
    return record.values.get(path)


def test_what_a_trigger_writes_is_an_event_of_the_same_transaction() -> None:
    org = quiet_org()
    (account,) = create(org)
    (contact,) = create(org, "Contact", AccountId=account)
    trigger(
        org,
        entity="Account",
        changed=["Phone"],
        effects=[{"to": "children:Contact.AccountId", "set": {"Phone": {"copy": "Phone"}}}],
    )
    update(org, "Account", [account], Phone="1")
    one, other = (header(event) for event in published(org)[-2:])
    assert (one["entityName"], other["entityName"], other["recordIds"]) == ("Account", "Contact", [contact])
    assert one["transactionKey"] == other["transactionKey"]
    assert (one["sequenceNumber"], other["sequenceNumber"]) == (1, 2)
    assert value(org, "Contact", contact, "Phone") == "1"


def test_a_trigger_on_its_own_record_adds_to_the_same_event() -> None:
    org = quiet_org()
    trigger(
        org,
        entity="Account",
        effects=[{"to": "self", "set": {"Rating": "Hot", "AnnualRevenue": {"add": 5.0}}}],
    )
    (account,) = create(org, AnnualRevenue=1.0)
    update(org, "Account", [account], Phone="1")
    assert value(org, "Account", account, "AnnualRevenue") == 11.0
    assert len(published(org)) == 2


def test_a_parent_is_touched_once_for_many_children_and_a_loop_ends() -> None:
    org = quiet_org()
    (account,) = create(org)
    contacts = create(org, "Contact", 3, AccountId=account)
    trigger(org, entity="Contact", on=["UPDATE"],
            effects=[{"to": "parent:AccountId", "set": {"NumberOfEmployees": {"add": 1}}}])  # fmt: skip
    trigger(org, entity="Account", on=["UPDATE"],
            effects=[{"to": "children:Contact.AccountId", "set": {"Title": "seen"}}])  # fmt: skip
    before = len(org.truth)
    update(org, "Contact", contacts, Phone="1")
    assert value(org, "Account", account, "NumberOfEmployees") == 1
    assert len(org.truth) == before + 4


def test_a_condition_and_the_kind_of_change_decide_whether_a_trigger_acts() -> None:
    org = quiet_org()
    trigger(org, entity="Account", on=["UPDATE"], condition="Rating = 'Hot' AND Phone != null",
            effects=[{"create": "Case", "values": {"Subject": "called", "AccountId": {"id": True}}}])  # fmt: skip
    cold, hot = create(org, Rating="Cold"), create(org, Rating="Hot", Phone="1")
    assert len(org.entities["Case"].records) == 0
    update(org, "Account", cold + hot, Fax="2")
    [case] = org.entities["Case"].records
    assert case.values["AccountId"] == hot[0]


def test_a_trigger_that_refuses_stops_the_transaction_and_people_cannot_save() -> None:
    org = quiet_org()
    (account,) = create(org)
    trigger(org, entity="Account", effects=[{"refuse": "closed for the night"}, {"mail": "x"}])
    with pytest.raises(OrgError, match="closed for the night"):
        update(org, "Account", [account], Phone="1")
    assert not org.automation.mails
    org.automation.switch("T0", active=False)
    update(org, "Account", [account], Phone="1")


@pytest.mark.parametrize(
    "rule",
    [
        {"entity": "Nothing", "effects": []},
        {"entity": "Account", "effects": [{"to": "self", "set": {"Nope": 1}}]},
        {"entity": "Account", "effects": [{"to": "children:Nothing.AccountId", "set": {"Phone": 1}}]},
        {"entity": "Account", "effects": [{"dance": True}]},
        {"entity": "Account", "effects": [], "condition": "Nope = 1"},
        {"entity": "Account", "effects": [], "changed": ["Nope"]},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_it_is_given(rule: dict[str, Any]) -> None:
    org = quiet_org()
    with pytest.raises((ValueError, OrgError)):
        trigger(org, **rule)
    assert not org.automation.rules


def test_lookups_are_emptied_by_a_delete_and_filled_again_by_the_undelete() -> None:
    org = quiet_org(replace(Knobs.kind(), lookups_cleared=True))
    (account,) = create(org)
    kept, moved = create(org, "Case", 2, AccountId=account)
    org.commit([Change("Account", Op.DELETE, account)], user_id=org.administrator_id)
    assert (value(org, "Case", kept, "AccountId"), value(org, "Case", moved, "AccountId")) == (None, None)
    (other,) = create(org)
    update(org, "Case", [moved], AccountId=other)
    org.commit([Change("Account", Op.UNDELETE, account)], user_id=org.administrator_id)
    assert (value(org, "Case", kept, "AccountId"), value(org, "Case", moved, "AccountId")) == (account, other)


def test_a_merge_moves_the_children_and_the_loser_names_the_winner() -> None:
    org = quiet_org()
    master, loser = create(org, count=2)
    (contact,) = create(org, "Contact", AccountId=loser)
    org.commit(merge_changes(org, "Account", master, [loser], {"Phone": "7"}), user_id=org.administrator_id)
    assert value(org, "Contact", contact, "AccountId") == master
    rows = org.query("SELECT Id, MasterRecordId FROM Account WHERE IsDeleted = true", include_deleted=True)
    assert [(row["Id"], row["MasterRecordId"]) for row in rows.all()] == [(loser, master)]
    org.commit([Change("Account", Op.UNDELETE, loser)], user_id=org.administrator_id)
    assert value(org, "Contact", contact, "AccountId") == master  # an undelete does not move them back


def test_a_hard_delete_takes_the_children_and_can_be_published_by_a_knob() -> None:
    org = quiet_org(replace(Knobs.kind(), hard_deletes_published=True))
    (account,) = create(org)
    (contact,) = create(org, "Contact", AccountId=account)
    org.commit([Change("Account", Op.HARD_DELETE, account)], user_id=org.administrator_id)
    assert len(org.entities["Contact"].records) == 0
    kinds = [(header(event)["changeType"], header(event)["recordIds"]) for event in published(org)[2:]]
    assert kinds == [("DELETE", [account]), ("DELETE", [contact])]


def test_the_recycle_bin_keeps_a_record_for_so_many_days() -> None:
    org = quiet_org(replace(Knobs.kind(), recycle_bin_days=3))
    early, late = create(org, count=2)
    for record_id in (early, late):
        org.commit([Change("Account", Op.DELETE, record_id)], user_id=org.administrator_id)
        org.clock.advance(2 * DAY_MS)
    caller = Caller(org.administrator_id)
    results = org.saver.save([Change("Account", Op.UNDELETE, one) for one in (early, late)], caller)
    assert [result.error.code if result.error else "" for result in results] == ["UNDELETE_FAILED", ""]


def test_external_ids_are_found_after_every_kind_of_change() -> None:
    org = quiet_org()
    (account,) = create(org, Erp_Number__c="E1")
    assert org.with_external_id("Account", "Erp_Number__c", "E1") == [account]
    update(org, "Account", [account], Erp_Number__c="E2")
    assert org.with_external_id("Account", "erp_number__C", "E1") == []
    assert org.with_external_id("Account", "Erp_Number__c", "E2") == [account]
    (second,) = create(org, Erp_Number__c="E3")
    assert org.with_external_id("Account", "Erp_Number__c", "E3") == [second]
    org.commit([Change("Account", Op.DELETE, second)], user_id=org.administrator_id)
    assert org.with_external_id("Account", "Erp_Number__c", "E3") == []
    with pytest.raises(OrgError, match="not an External ID"):
        org.with_external_id("Account", "Phone", "1")


def test_a_query_for_ids_looks_at_these_records_only_and_finds_the_same() -> None:
    org = quiet_org()
    ids = create(org, count=30)
    for where, found in (
        (f"Id IN ('{ids[3]}', '{ids[1][:15]}', '001000000000000AAA')", [ids[1], ids[3]]),
        (f"Id = '{ids[2]}' AND Phone = null", [ids[2]]),
        (f"(Id = '{ids[2]}') OR Phone = null", ids),
        (f"Id = '{ids[2]}' OR Phone = null", ids),
        (f"NOT Id = '{ids[2]}'", [one for one in ids if one != ids[2]]),
        (f"Id NOT IN ('{ids[2]}')", [one for one in ids if one != ids[2]]),
    ):
        rows = org.query(f"SELECT Id FROM Account WHERE {where}").all()
        assert [row["Id"] for row in rows] == sorted(found)
