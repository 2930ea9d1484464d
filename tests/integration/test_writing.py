"""Writing to an org: our connector and the simulated org, which share no code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cdc.errors import BadArgument, CursorExpired, NotFound, OrgUnavailable
from cdc.ports.org import BulkState
from cdc.ports.orgwriter import OrgWriter, RecordWrite, WriteKind, WriteOptions
from cdc.ports.types import Millis, RecordId
from connectors.simulator.clock import DAY_MS
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Op
from tests.integration.sides import Sides, all_results, sides

OURS = "sf-cdc-restore/p1"


def is_the_port(sides: Sides) -> OrgWriter:
    return sides.writer


def updates(entity: str, ids: list[Any], **fields: Any) -> list[RecordWrite]:
    return [RecordWrite(entity, record_id, fields) for record_id in ids]


def codes(results: Any) -> list[str]:
    return [result.errors[0].code if result.errors else "" for result in results]


async def by_collection(
    both: Sides, kind: WriteKind, writes: list[RecordWrite], options: WriteOptions
) -> Any:
    return (await both.writer.write(kind, writes, options)).results


async def by_job(both: Sides, kind: WriteKind, writes: list[RecordWrite], options: WriteOptions) -> Any:
    """In the order of the writes, though a job's results come in none."""
    job = await both.writer.open_bulk_write(kind, writes[0].entity, writes, options)
    await both.writer.run_bulk_write(job)
    results = await all_results(both.writer.bulk_results(job))
    assert len(results) == len(writes)
    place = {str(write.record_id): at for at, write in enumerate(writes)}
    return sorted(results, key=lambda result: place.get(result.fields.get("Id", ""), 0))


WAYS = pytest.mark.parametrize("way", [by_collection, by_job])
Way = Callable[..., Any]


@WAYS
async def test_each_record_has_its_own_result_and_the_good_ones_are_written(way: Way) -> None:
    async with sides() as both:
        good, gone, other = both.ids("Opportunity")[:3]
        both.commit("Opportunity", Op.DELETE, [gone])
        before = len(both.truth.truth)
        results = await way(
            both,
            WriteKind.UPDATE,
            updates("Opportunity", [good, gone, other], NextStep="Call back", Amount=12.5),
            WriteOptions(client=OURS),
        )
        assert [result.success for result in results] == [True, False, True]
        assert codes(results)[1] == "ENTITY_IS_DELETED"
        assert both.value("Opportunity", good, "NextStep") == "Call back"
        assert both.value("Opportunity", other, "Amount") == 12.5
        written = both.changes(before)
        assert {change.record_id for change in written} == {good, other}
        assert {change.client for change in written} == {OURS}


@WAYS
async def test_records_are_created_changed_to_null_and_deleted(way: Way) -> None:
    async with sides() as both:
        [made] = await way(
            both,
            WriteKind.INSERT,
            [RecordWrite("Account", fields={"Name": 'Nova, "Ltd"\nLyon', "Phone": "1", "Active__c": True})],
            WriteOptions(),
        )
        assert made.success
        assert made.created
        assert made.record_id in both.ids("Account")
        assert both.value("Account", made.record_id, "Name") == 'Nova, "Ltd"\nLyon'
        [changed] = await way(
            both, WriteKind.UPDATE, updates("Account", [made.record_id], Phone=None), WriteOptions()
        )
        assert changed.success
        assert both.value("Account", made.record_id, "Phone") is None
        assert both.value("Account", made.record_id, "Active__c") is True
        [deleted] = await way(
            both, WriteKind.DELETE, [RecordWrite("Account", made.record_id)], WriteOptions()
        )
        assert deleted.success
        assert made.record_id not in both.ids("Account")


@WAYS
async def test_an_upsert_finds_its_record_by_external_id(way: Way) -> None:
    async with sides() as both:
        writes = [
            RecordWrite("Shipment__c", fields={"Erp_Key__c": "K-1", "Name": "First", "Weight__c": 1}),
            RecordWrite("Shipment__c", fields={"Erp_Key__c": "K-2", "Name": "Second", "Weight__c": 2}),
        ]
        options = WriteOptions(external_id_field="Erp_Key__c")
        assert [result.created for result in await way(both, WriteKind.UPSERT, writes, options)] == [
            True,
            True,
        ]
        count = len(both.ids("Shipment__c"))
        again = await way(both, WriteKind.UPSERT, writes, options)
        assert [result.created for result in again] == [False, False]
        assert len(both.ids("Shipment__c")) == count


@WAYS
async def test_a_related_record_can_be_named_by_its_external_id(way: Way) -> None:
    async with sides() as both:
        account = both.ids("Account")[0]
        both.commit("Account", Op.UPDATE, [account], Erp_Number__c="E-77")
        [made] = await way(
            both,
            WriteKind.INSERT,
            [RecordWrite("Shipment__c", fields={"Name": "S", "Account__r": {"Erp_Number__c": "E-77"}})],
            WriteOptions(),
        )
        assert both.value("Shipment__c", made.record_id, "Account__c") == account


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("Name", {"Name": None}, "REQUIRED_FIELD_MISSING"),
    ("Amount", {"Amount": -1}, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
    ("NextStep", {"NextStep": "x" * 256}, "STRING_TOO_LONG"),
    ("AccountId", {"AccountId": "001000000000000AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
]


@WAYS
@pytest.mark.parametrize(("field", "values", "code"), REFUSALS)
async def test_a_refused_record_says_which_field_and_why(
    way: Way, field: str, values: dict[str, Any], code: str
) -> None:
    async with sides() as both:
        await both.control("automation", {"standard": True})
        first, second = both.ids("Opportunity")[:2]
        fine = RecordWrite("Opportunity", second, {"NextStep": "fine"})
        writes = [RecordWrite("Opportunity", first, values), fine]
        results = await way(both, WriteKind.UPDATE, writes, WriteOptions())
        assert codes(results) == [code, ""]
        assert results[0].errors[0].fields == (field,)
        assert results[0].errors[0].message


@WAYS
async def test_locked_rows_and_rows_of_others_are_refused_and_pass_later(way: Way) -> None:
    async with sides() as both:
        locked, denied, free = both.ids("Case")[:3]
        await both.control("guard", {"record_ids": [locked]})
        await both.control(
            "guard", {"record_ids": [denied], "code": "INSUFFICIENT_ACCESS_OR_READONLY", "message": "no"}
        )
        writes = updates("Case", [locked, denied, free], Subject="again")
        results = await way(both, WriteKind.UPDATE, writes, WriteOptions())
        assert codes(results) == ["UNABLE_TO_LOCK_ROW", "INSUFFICIENT_ACCESS_OR_READONLY", ""]
        await both.control("guard", {"record_ids": [locked, denied], "clear": True})
        assert codes(await way(both, WriteKind.UPDATE, writes, WriteOptions())) == ["", "", ""]


async def test_a_field_that_may_not_be_written_is_described_so_and_refused() -> None:
    knobs = replace(Knobs.kind(), read_only_fields=("Account.Rating",), read_only_entities=("Lead",))
    async with sides(knobs=knobs) as both:
        rating = next(f for f in (await both.org.describe("Account")).fields if f.name == "Rating")
        assert (rating.createable, rating.updateable) == (False, False)
        lead = await both.org.describe("Lead")
        assert (lead.createable, lead.updateable, lead.deletable) == (False, False, False)
        writes = [
            RecordWrite("Account", both.ids("Account")[0], {"Rating": "Hot"}),
            RecordWrite("Lead", both.ids("Lead")[0], {"Title": "x"}),
            RecordWrite("Account", both.ids("Account")[1], {"CreatedDate": "2026-01-01T00:00:00Z"}),
            RecordWrite("Account", both.ids("Account")[2], {"Open_Days__c": 3}),
        ]
        assert codes((await both.writer.write(WriteKind.UPDATE, writes)).results) == [
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "INSUFFICIENT_ACCESS_OR_READONLY",
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "INVALID_FIELD_FOR_INSERT_UPDATE",
        ]


async def test_all_or_none_writes_none_of_them() -> None:
    async with sides() as both:
        ids = both.ids("Case")[:3]
        writes = [
            *updates("Case", ids[:2], Subject="both"),
            RecordWrite("Case", ids[2], {"AccountId": "001000000000000AAA"}),
        ]
        written = await both.writer.write(WriteKind.UPDATE, writes, WriteOptions(all_or_none=True))
        rolled_back = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
        assert codes(written.results) == [rolled_back, rolled_back, "INVALID_CROSS_REFERENCE_KEY"]
        assert both.changes() == []


@WAYS
async def test_restoring_cases_reassigns_none_and_sends_no_mail_unless_wanted(way: Way) -> None:
    async with sides() as both:
        await both.control("automation", {"standard": True})
        ids = both.ids("Case")[:20]
        owners = {record_id: both.value("Case", record_id, "OwnerId") for record_id in ids}
        await way(both, WriteKind.UPDATE, updates("Case", ids, Priority="High"), WriteOptions())
        assert {one: both.value("Case", one, "OwnerId") for one in ids} == owners
        assert not both.truth.automation.mails
        assert not both.truth.automation.reassigned


async def test_assignment_rules_act_unless_the_header_forbids_it() -> None:
    """The header's absence means TRUE: this is what a restore without it would do."""
    async with sides() as both:
        await both.control("automation", {"standard": True})
        ids = both.ids("Case")[:20]
        options = WriteOptions(assignment_rules=True)
        await both.writer.write(WriteKind.UPDATE, updates("Case", ids, Priority="High"), options)
        effects = both.truth.automation
        assert len(effects.reassigned) == len(effects.mails) > 0


async def test_duplicate_alerts_are_passed_and_blocks_are_not() -> None:
    async with sides() as both:
        await both.control("automation", {"standard": True})
        one = both.ids("Contact")[0]
        same = {
            "LastName": both.value("Contact", one, "Name.LastName"),
            "Email": both.value("Contact", one, "Email"),
        }
        writes = [RecordWrite("Contact", fields=same)]
        refused = await both.writer.write(WriteKind.INSERT, writes, WriteOptions(allow_duplicates=False))
        assert codes(refused.results) == ["DUPLICATES_DETECTED"]
        assert (await both.writer.write(WriteKind.INSERT, writes)).results[0].success
        rule = {"add": "duplicate", "name": "Block", "entity": "Contact", "fields": ["Email"], "blocks": True}
        await both.control("automation", rule)
        assert codes((await both.writer.write(WriteKind.INSERT, writes)).results) == ["DUPLICATES_DETECTED"]


@WAYS
async def test_a_trigger_touches_other_records_in_the_same_transaction(way: Way) -> None:
    async with sides() as both:
        await both.control("automation", {"standard": True})
        contact = next(one for one in both.ids("Contact") if both.value("Contact", one, "AccountId"))
        account = both.value("Contact", contact, "AccountId")
        await way(
            both, WriteKind.UPDATE, updates("Account", [account], Phone="+33 1"), WriteOptions(client=OURS)
        )
        assert both.value("Contact", contact, "HomePhone") == "+33 1"
        changes = both.changes()
        assert {change.entity for change in changes} == {"Account", "Contact"}
        assert len({change.transaction_key for change in changes}) == 1
        assert {change.client for change in changes} == {OURS}


async def test_a_trigger_that_refuses_one_record_lets_the_others_be_written() -> None:
    async with sides() as both:
        first, second = both.ids("Case")[:2]
        both.commit("Case", Op.UPDATE, [first], Subject="stop")
        trigger = {
            "add": "trigger", "name": "Guardian", "entity": "Case", "kind": "apex",
            "condition": "Subject = 'stop'", "effects": [{"refuse": "not now"}],
        }  # fmt: skip
        await both.control("automation", trigger)
        written = await both.writer.write(WriteKind.UPDATE, updates("Case", [first, second], Priority="Low"))
        assert codes(written.results) == ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", ""]


@pytest.mark.parametrize(("echo", "seen"), [("on", OURS), ("off", ""), ("somebody", "somebody")])
async def test_the_org_may_or_may_not_echo_our_name(echo: str, seen: str) -> None:
    async with sides(knobs=replace(Knobs.kind(), client_echo=echo)) as both:
        await both.writer.write(
            WriteKind.UPDATE, updates("Case", both.ids("Case")[:1], Subject="x"), WriteOptions(client=OURS)
        )
        assert {change.client for change in both.changes()} == {seen}


async def test_undelete_brings_back_a_record_with_what_was_deleted_along_with_it() -> None:
    async with sides() as both:
        account = next(
            one for one in both.ids("Account")
            if both.truth.entities["Contact"].records.referring("AccountId", one)
        )  # fmt: skip
        contacts = both.truth.entities["Contact"].records.referring("AccountId", account)
        both.commit("Contact", Op.DELETE, contacts[:1])
        both.commit("Account", Op.DELETE, [account])
        written = await both.writer.undelete([account], WriteOptions(client=OURS))
        assert [(result.record_id, result.success) for result in written.results] == [(account, True)]
        assert account in both.ids("Account")
        assert set(contacts) - set(both.ids("Contact")) == {contacts[0]}  # deleted before: not part of it
        [last] = [change for change in both.changes() if change.record_id == account][-1:]
        assert (last.kind, last.client, last.origin) == ("UNDELETE", OURS, "com/salesforce/api/soap/66.0")


async def test_undelete_says_what_is_not_in_the_recycle_bin() -> None:
    async with sides() as both:
        living, purged, old = both.ids("Lead")[:3]
        both.commit("Lead", Op.DELETE, [old])
        both.commit("Lead", Op.HARD_DELETE, [purged])
        both.truth.clock.advance(16 * DAY_MS)
        results = (await both.writer.undelete([living, purged, old])).results
        assert codes(results) == ["UNDELETE_FAILED"] * 3


async def test_a_session_that_ended_is_renewed_for_soap_and_for_rest() -> None:
    async with sides() as both:
        first, second = both.ids("Lead")[:2]
        both.commit("Lead", Op.DELETE, [first])
        both.truth.faults.set("token_revoked", times=1)
        assert (await both.writer.undelete([first])).results[0].success
        both.truth.faults.set("token_revoked", times=1)
        written = await both.writer.write(WriteKind.UPDATE, updates("Lead", [second], Title="x"))
        assert written.results[0].success
        assert len([change for change in both.changes() if change.record_id == second]) == 1


async def test_a_hard_delete_publishes_nothing_and_only_deletions_know_of_it() -> None:
    async with sides() as both:
        ids = both.ids("Lead")[:5]
        before = both.truth.clock.now_ms()
        writes = [RecordWrite("Lead", record_id) for record_id in ids]
        results = await by_job(both, WriteKind.HARD_DELETE, writes, WriteOptions())
        assert all(result.success for result in results)
        assert {change.kind for change in both.changes()} == {""}
        assert (await both.org.read("Lead", ids, ["Id"])).rows == []
        deletions = await both.org.deleted("Lead", Millis(before - 120_000), Millis(before + 600_000))
        assert set(deletions.deleted_at) <= set(ids)
        both.truth.clock.advance(120_000)
        deletions = await both.org.deleted("Lead", Millis(before - 120_000), Millis(before + 120_000))
        assert set(deletions.deleted_at) == set(ids)
        assert deletions.covered_to <= before + 240_000


async def test_counts_leave_out_what_is_in_the_recycle_bin() -> None:
    async with sides() as both:
        both.commit("Lead", Op.DELETE, both.ids("Lead")[:4])
        counts = await both.org.record_counts(["Lead", "Case", "Unknown__c"])
        assert counts == {"Lead": len(both.ids("Lead")), "Case": len(both.ids("Case"))}


async def test_a_job_is_uploaded_before_it_runs_and_can_be_found_again_by_its_id() -> None:
    """What survives a kill between the steps is the job id alone."""
    async with sides() as both:
        ids = both.ids("Case")[:30]
        job = await both.writer.open_bulk_write(
            WriteKind.UPDATE, "Case", updates("Case", ids, Subject="once")
        )
        assert (await both.writer.bulk_write_progress(job)).state is BulkState.OPEN
        assert both.changes() == []
        with pytest.raises(BadArgument, match="not begun"):
            await all_results(both.writer.bulk_results(job))
        await both.writer.run_bulk_write(job)
        await both.writer.run_bulk_write(job)
        first = await all_results(both.writer.bulk_results(job))
        await both.writer.run_bulk_write(job)
        again = await all_results(both.writer.bulk_results(job))
        assert {one.record_id for one in first} == {one.record_id for one in again} == set(ids)
        assert len([change for change in both.changes() if change.entity == "Case"]) == 30


async def test_a_job_that_fails_half_way_tells_what_it_wrote_and_what_it_did_not_come_to() -> None:
    async with sides(4_000) as both:
        ids = both.ids("Opportunity")[:1_000]
        both.truth.faults.set("job_failed", after=400, times=1)
        job = await both.writer.open_bulk_write(
            WriteKind.UPDATE, "Opportunity", updates("Opportunity", ids, NextStep="new")
        )
        await both.writer.run_bulk_write(job)
        results = await all_results(both.writer.bulk_results(job))
        assert sum(result.success for result in results) == 400
        assert {result.fields["Id"] for result in results if not result.processed} == set(ids[400:])
        assert all(result.errors[0].code == "BULK_JOB_FAILED" for result in results if not result.processed)


async def test_an_upload_the_org_cannot_read_fails_as_a_whole() -> None:
    async with sides() as both:
        writes = updates("Case", both.ids("Case")[:3], Nothing__c="x")
        job = await both.writer.open_bulk_write(WriteKind.UPDATE, "Case", writes)
        await both.writer.run_bulk_write(job)
        results = await all_results(both.writer.bulk_results(job))
        assert [result.processed for result in results] == [False] * 3 or results == []
        assert (
            await both.writer.bulk_write_progress(job)
        ).error == "InvalidBatch : Field name not found : Nothing__c"


async def test_an_aborted_job_writes_nothing_and_is_forgotten() -> None:
    async with sides() as both:
        job = await both.writer.open_bulk_write(
            WriteKind.UPDATE, "Case", updates("Case", both.ids("Case")[:3], Subject="never")
        )
        await both.writer.abort_bulk_write(job)
        await both.writer.abort_bulk_write(job)
        with pytest.raises(CursorExpired):
            await all_results(both.writer.bulk_results(job))
        assert both.changes() == []


async def test_results_cut_short_are_not_taken_for_whole() -> None:
    async with sides() as both:
        job = await both.writer.open_bulk_write(
            WriteKind.UPDATE, "Case", updates("Case", both.ids("Case")[:30], Subject="x")
        )
        await both.writer.run_bulk_write(job)
        both.truth.faults.set("csv_truncated", keep=0.6, times=1)
        with pytest.raises(OrgUnavailable):
            await all_results(both.writer.bulk_results(job))
        assert len(await all_results(both.writer.bulk_results(job))) == 30


async def test_a_delete_through_three_entities_and_a_trigger_chain_stay_one_transaction() -> None:
    async with sides() as both:
        chain = [
            {"name": "One", "entity": "Account", "changed": ["Rating"],
             "effects": [{"to": "children:Opportunity.AccountId", "set": {"NextStep": {"copy": "Rating"}}}]},
            {"name": "Two", "entity": "Opportunity", "changed": ["NextStep"],
             "effects": [{"create": "Case", "values": {"Subject": {"copy": "NextStep"}, "AccountId": {"copy": "AccountId"}}}]},
        ]  # fmt: skip
        for trigger in chain:
            await both.control("automation", {"add": "trigger", **trigger})
        opportunity = next(
            one for one in both.ids("Opportunity") if both.value("Opportunity", one, "AccountId")
        )
        account = both.value("Opportunity", opportunity, "AccountId")
        await both.writer.write(WriteKind.UPDATE, updates("Account", [account], Rating="Warmer"))
        changes = both.changes()
        assert {change.entity for change in changes} == {"Account", "Opportunity", "Case"}
        assert len({change.transaction_key for change in changes}) == 1


@pytest.mark.parametrize(
    ("kind", "writes"),
    [
        (WriteKind.UPDATE, []),
        (WriteKind.UPDATE, [RecordWrite("Case", RecordId("x"), {})]),
        (WriteKind.HARD_DELETE, [RecordWrite("Case", RecordId("500000000000001AAA"))]),
        (WriteKind.INSERT, [RecordWrite("Case; drop", fields={})]),
        (WriteKind.INSERT, [RecordWrite("Case", fields={})] * 201),
    ],
)
async def test_what_cannot_be_written_is_said_before_anything_is_sent(
    kind: WriteKind, writes: list[RecordWrite]
) -> None:
    async with sides() as both:
        calls = both.org.api_calls
        with pytest.raises(BadArgument):
            await both.writer.write(kind, writes)
        assert both.org.api_calls == calls


async def test_an_unknown_entity_is_not_found() -> None:
    async with sides() as both:
        with pytest.raises((NotFound, BadArgument)):
            await both.writer.open_bulk_write(
                WriteKind.INSERT, "Nothing__c", [RecordWrite("Nothing__c", fields={"Name": "x"})]
            )
