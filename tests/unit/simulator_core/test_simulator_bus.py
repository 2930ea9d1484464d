"""Topics, replay ids, cursors and delivery."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from connectors.simulator.clock import HOUR_MS, SimClock
from connectors.simulator.errors import BusError
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from tests.unit.simulator_core.org_reader import (
    EVERYTHING,
    create,
    decode,
    header,
    quiet_org,
    read_all,
    update,
)


def test_replay_ids_are_ten_bytes_grow_and_are_not_contiguous() -> None:
    org = quiet_org()
    create(org, count=200)
    events, _ = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))
    replay_ids = [event.replay_id for event in events]
    assert all(len(replay_id) == 10 and replay_id.endswith(b"\0\0") for replay_id in replay_ids)
    assert replay_ids == sorted(set(replay_ids))
    steps = {
        int.from_bytes(after[:8], "big") - int.from_bytes(before[:8], "big")
        for before, after in pairwise(replay_ids)
    }
    assert len(steps) > 1


def test_a_custom_position_starts_strictly_after_it() -> None:
    org = quiet_org()
    create(org, count=5)
    events, _ = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))
    rest, _ = read_all(org, org.bus.resolve(EVERYTHING, "custom", events[1].replay_id))
    assert rest == events[2:]


def test_latest_sees_only_what_comes_after_and_earliest_what_is_retained() -> None:
    org = quiet_org()
    create(org)
    org.clock.advance(73 * HOUR_MS)
    create(org)
    assert len(read_all(org, org.bus.resolve(EVERYTHING, "earliest"))[0]) == 1
    cursor = org.bus.resolve(EVERYTHING, "latest")
    assert read_all(org, cursor)[0] == []
    create(org)
    assert len(read_all(org, cursor)[0]) == 1


def test_a_position_on_a_quiet_channel_moves_ahead_and_loses_nothing() -> None:
    org = quiet_org()
    create(org)
    _, cursor = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))
    first = org.bus.latest_replay_id(cursor)
    org.clock.advance(100 * HOUR_MS)
    later = org.bus.latest_replay_id(cursor)
    assert later > first
    create(org)
    assert len(read_all(org, org.bus.resolve(EVERYTHING, "custom", later))[0]) == 1
    with pytest.raises(BusError, match=r"replayid\.corrupted"):
        org.bus.resolve(EVERYTHING, "custom", first)


@pytest.mark.parametrize("count", [1, 3, 7, 100])
def test_every_position_given_resumes_without_loss(count: int) -> None:
    org = quiet_org(replace(Knobs.kind(), delivery_lag_share=0.5, delivery_lag_max_ms=3_000))
    cursor = org.bus.resolve(EVERYTHING, "latest")
    seen: list[str] = []
    for _ in range(60):
        create(org, count=2)
        org.clock.advance(300)
        events, moved = org.bus.read(cursor, count)
        seen.extend(event.event_id for event in events)
        cursor = org.bus.resolve(EVERYTHING, "custom", org.bus.latest_replay_id(moved))
    org.clock.advance(5_000)
    seen.extend(event.event_id for event in read_all(org, cursor)[0])
    assert seen == [change.event_id for change in org.truth.changes()]


@pytest.mark.parametrize(
    ("replay_id", "code"),
    [
        (b"", "replayid.validation.failed"),
        (b"12345678", "replayid.corrupted"),
        (b"\0" * 10, "replayid.corrupted"),
        ((2**60).to_bytes(8, "big") + b"\0\0", "replayid.corrupted"),
        ((1_500_001).to_bytes(8, "big") + b"\0\1", "replayid.corrupted"),
    ],
)
def test_a_position_that_means_nothing_is_refused(replay_id: bytes, code: str) -> None:
    org = quiet_org()
    create(org)
    with pytest.raises(BusError, match=code):
        org.bus.resolve(EVERYTHING, "custom", replay_id)


def test_topics_of_one_entity_carry_only_it() -> None:
    org = quiet_org()
    create(org)
    create(org, "Shipment__c", Name="S-1")
    events, _ = read_all(org, org.bus.resolve("/data/Shipment__ChangeEvent", "earliest"))
    assert [event.entity for event in events] == ["Shipment__c"]


@pytest.mark.parametrize("topic", ["/data/Nothing__chn", "/data/NopeChangeEvent", "/event/Nope__e", "x"])
def test_an_unknown_topic_is_not_found(topic: str) -> None:
    with pytest.raises(BusError, match=r"topic\.not\.found"):
        quiet_org().bus.resolve(topic)


def test_without_permission_one_topic_is_refused_and_the_other_is_silent_about_it() -> None:
    org = quiet_org()
    create(org)
    create(org, "Contact")
    org.faults.set("no_permission", entity="Account")
    with pytest.raises(BusError, match=r"subscription\.topic\.cannot\.subscribe"):
        org.bus.resolve("/data/AccountChangeEvent", "earliest")
    events, _ = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))
    assert [event.entity for event in events] == ["Contact"]


def test_platform_events_are_read_from_their_own_topic() -> None:
    org = quiet_org()
    org.publish_platform_event("Order__e", {"Order_Number__c": "7", "Amount__c": 12.5})
    create(org)
    events, _ = read_all(org, org.bus.resolve("/event/Order__e", "earliest"))
    (decoded,) = [decode(org, event) for event in events]
    assert (decoded["Order_Number__c"], decoded["Amount__c"], decoded["Status__c"]) == ("7", 12.5, None)
    assert len(read_all(org, org.bus.resolve(EVERYTHING, "earliest"))[0]) == 1


def test_events_that_lag_become_readable_later_and_in_order() -> None:
    org = quiet_org(replace(Knobs.kind(), delivery_lag_share=1.0, delivery_lag_max_ms=2_000))
    cursor = org.bus.resolve(EVERYTHING, "latest")
    for _ in range(10):
        create(org)
    assert len(org.bus.read(cursor, 100)[0]) < 10
    org.clock.advance(2_000)
    events, _ = read_all(org, cursor)
    assert [event.event_id for event in events] == [change.event_id for change in org.truth.changes()]
    assert [event.available_at for event in events] == sorted(event.available_at for event in events)


def test_a_duplicate_has_the_same_event_id_and_body_and_another_replay_id() -> None:
    org = quiet_org(replace(Knobs.kind(), duplicate_share=0.3))
    for _ in range(100):
        create(org)
    events, _ = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))
    by_id: dict[str, list[tuple[bytes, bytes]]] = {}
    for event in events:
        by_id.setdefault(event.event_id, []).append((event.replay_id, event.payload))
    twice = {event_id: seen for event_id, seen in by_id.items() if len(seen) > 1}
    assert 10 < len(twice) < 60
    assert all(seen[0][0] != seen[1][0] and seen[0][1] == seen[1][1] for seen in twice.values())
    assert {change.event_id for change in org.truth.changes() if change.duplicated} == set(twice)


def enriched_org(*, cut: bool) -> tuple[SimulatedOrg, list[str]]:
    org = quiet_org(replace(Knobs.kind(), cut_groups=cut))
    org.set_channel("Team__chn", ["Account"], enriched={"Account": ["Name", "Industry"]})
    ids = create(org, count=5, Industry="Energy")
    org.clock.advance(1_000)
    update(org, "Account", ids, Rating="Hot")
    return org, ids


def test_an_enriched_group_is_one_event_a_record_with_one_replay_id() -> None:
    org, ids = enriched_org(cut=True)
    events, _ = read_all(org, org.bus.resolve("/data/Team__chn", "earliest"))
    group = events[5:]
    assert [header(decode(org, event))["recordIds"] for event in group] == [[record_id] for record_id in ids]
    assert len({event.replay_id for event in group}) == 1
    assert all(decode(org, event)["Industry"] == "Energy" for event in group)
    layout = org.entities["Account"].layout
    changed = header(decode(org, group[0]))["changedFields"]
    assert changed == list(layout.bitmaps(["Rating", "LastModifiedDate"]))


def test_an_enriched_value_is_read_when_it_is_delivered() -> None:
    org, ids = enriched_org(cut=True)
    org.clock.advance(1_000)
    update(org, "Account", ids[:1], Industry="Retail")
    events, _ = read_all(org, org.bus.resolve("/data/Team__chn", "earliest"))
    assert decode(org, events[5])["Industry"] == "Retail"


def test_a_group_cut_by_credit_is_lost_to_who_resumes_from_its_id() -> None:
    org, _ = enriched_org(cut=True)
    events, cursor = org.bus.read(org.bus.resolve("/data/Team__chn", "earliest"), 7)
    assert len(events) == 7
    assert org.bus.latest_replay_id(cursor) == events[-1].replay_id
    assert len(read_all(org, cursor)[0]) == 3
    assert read_all(org, org.bus.resolve("/data/Team__chn", "custom", events[-1].replay_id))[0] == []


def test_a_group_stays_whole_when_groups_are_not_cut() -> None:
    org, _ = enriched_org(cut=False)
    events, cursor = org.bus.read(org.bus.resolve("/data/Team__chn", "earliest"), 7)
    assert len(events) == 5
    assert len(org.bus.read(cursor, 7)[0]) == 5


def test_a_filter_lets_through_what_fits() -> None:
    org = quiet_org()
    org.set_channel(
        "Big__chn",
        ["Account"],
        filters={"Account": "AnnualRevenue > 1000 AND ChangeEventHeader.changeType != 'DELETE'"},
    )
    create(org, AnnualRevenue=10.0)
    ids = create(org, AnnualRevenue=5_000.0)
    org.commit([Change("Account", Op.DELETE, ids[0])], user_id=org.administrator_id)
    events, _ = read_all(org, org.bus.resolve("/data/Big__chn", "earliest"))
    assert [header(decode(org, event))["recordIds"] for event in events] == [ids]


def test_a_body_cut_short_is_delivered_cut_short() -> None:
    org = quiet_org()
    create(org, count=2)
    org.faults.set("payload_cut", times=1, keep=10)
    events, _ = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))
    assert [len(event.payload) == 10 for event in events] == [True, False]


def test_a_captured_event_is_delivered_as_it_is() -> None:
    org = quiet_org()
    org.register_schema("captured-schema-id-000", '{"type":"string"}')
    org.publish_raw("Account", "captured-schema-id-000", b"\x02a", event_id="e-1", record_ids=["001A"])
    (event,) = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))[0]
    assert (event.event_id, event.payload, event.schema_id) == ("e-1", b"\x02a", "captured-schema-id-000")
    assert org.truth.pairs() == {("e-1", "001A")}


def test_old_events_keep_the_schema_they_were_written_with() -> None:
    org = quiet_org()
    create(org, Fax="1")
    org.change_schema("Account", add=["Region__c Text"], remove=["Fax"])
    create(org, Region__c="South")
    first, second = (decode(org, e) for e in read_all(org, org.bus.resolve(EVERYTHING, "earliest"))[0])
    assert first["Fax"] == "1"
    assert second["Region__c"] == "South"
    assert "Fax" not in second


async def test_waiting_ends_with_the_next_commit() -> None:
    org = quiet_org()
    cursor = org.bus.resolve(EVERYTHING, "latest")
    waiting = asyncio.create_task(org.bus.wait(cursor, 10))
    await asyncio.sleep(0)
    create(org)
    assert await waiting is True


async def test_waiting_ends_when_a_late_event_becomes_readable() -> None:
    knobs = replace(Knobs.kind(), delivery_lag_share=1.0, delivery_lag_max_ms=200)
    org = SimulatedOrg(3, knobs, SimClock())
    cursor = org.bus.resolve(EVERYTHING, "latest")
    create(org)
    assert await org.bus.wait(cursor, 10) is True
    assert len(org.bus.read(cursor, 10)[0]) == 1


async def test_waiting_in_vain_ends_with_the_timeout() -> None:
    org = quiet_org()
    assert await org.bus.wait(org.bus.resolve(EVERYTHING, "latest"), 0.01) is False
