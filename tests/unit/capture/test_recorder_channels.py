"""A channel comes back after every kind of failure: nothing is lost, nothing recorded twice, nothing is silent."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from cdc.capture.jobs import Job
from cdc.errors import (
    AuthExpired,
    ChannelStopped,
    DeliveryLimitReached,
    OrgUnavailable,
    PositionLost,
    SourceUnavailable,
    Undecodable,
)
from cdc.ports.source import SourceEvent, Start
from cdc.ports.types import Millis, ReplayId, SchemaId
from tests.unit.capture.recording import ALL, CASES, Rig, event, recording, replay, until
from tests.unit.capture.test_records import SCHEMA, body

LOST = PositionLost("the replay position is too old", where=ALL, code="subscription.fetch.replayid.corrupted")
AWAY = SourceUnavailable("the event service is unavailable", where=ALL)
NOT_FOUND = ChannelStopped(
    "the org has no such channel", where=ALL, do="check its name", code="topic.not.found"
)


def stored(rig: Rig, channel: str = ALL) -> ReplayId | None:
    position = rig.recorder.writer.positions.channels.get(channel)
    return position.replay_id if position else None


async def test_after_a_lost_position_reading_goes_on_at_the_oldest_and_never_at_the_tip(
    tmp_path: Path,
) -> None:
    async with recording(tmp_path, start=Start.LATEST) as rig:
        await until(lambda: rig.source.starts)
        await rig.source.publish(ALL, *(event(n) for n in range(1, 6)))
        await until(lambda: stored(rig) == replay(4))
        rig.source.refusals[ALL] = [
            LOST,
            AWAY,
            AWAY,
        ]  # nothing is delivered before the service goes away again
        await rig.source.fail(ALL, AWAY)
        await rig.source.publish(ALL, *(event(n) for n in range(6, 9)))
        await until(lambda: len(rig.event_ids()) == 8)
        assert rig.source.began_at(ALL)[1:] == [replay(4), Start.EARLIEST, Start.EARLIEST, Start.EARLIEST]
        assert rig.event_ids() == [f"e{n}" for n in range(1, 9)]  # those that came again were known


async def test_a_lost_position_its_repair_and_its_stretch_are_one_transaction(tmp_path: Path) -> None:
    async with recording(tmp_path, start=Start.EARLIEST) as rig:
        await rig.source.publish(ALL, *(event(n) for n in range(1, 6)))
        await until(lambda: stored(rig) == replay(4))
        rig.source.refusals[ALL] = [LOST]
        await rig.source.fail(ALL, AWAY)
        await until(lambda: rig.stretches())
        (stretch,) = rig.stretches().values()
        assert (stretch["channel"], stretch["status"], stretch["from_at"]) == (ALL, "lost", 5000)
        assert stretch["to_at"] > stretch["from_at"]
        assert "too old" in stretch["reason"]
        assert rig.repairs() == ["Case"]
        places = [r.topic for r in rig.records("positions", "coverage", "jobs")]
        at = places.index("coverage")
        assert places[at : at + 3] == ["coverage", "jobs", "positions"]
        assert rig.metric("gaps_total", reason="position_lost") == 1


async def test_a_process_that_ends_between_a_lost_position_and_the_next_one_begins_at_the_oldest(
    tmp_path: Path,
) -> None:
    async with recording(tmp_path, start=Start.LATEST) as rig:
        await until(lambda: rig.source.starts)
        await rig.source.publish(ALL, *(event(n) for n in range(1, 6)))
        await until(lambda: stored(rig) == replay(4))
        rig.source.refusals[ALL] = [LOST] + [AWAY] * 1000
        await rig.source.fail(ALL, AWAY)
        await until(lambda: rig.stretches())
    rig.source.refusals[ALL] = []
    rig.source.starts.clear()
    async with recording(tmp_path, rig=rig, start=Start.LATEST) as again:
        await rig.source.publish(ALL, event(9))
        await until(lambda: "e9" in again.event_ids())
        assert rig.source.began_at(ALL)[0] is Start.EARLIEST
        assert again.event_ids() == ["e1", "e2", "e3", "e4", "e5", "e9"]


async def test_a_service_that_refuses_even_its_oldest_position_is_no_second_loss(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        rig.source.refusals[ALL] = [LOST] * 5
        await until(lambda: len(rig.source.starts) > 5)
        assert rig.stretches() == {}
        assert all(b - a >= 1.0 for a, b in pairwise(rig.source.start_times_s))


async def test_many_channels_that_break_at_once_come_back_one_a_second(tmp_path: Path) -> None:
    names = [f"/data/Case{n}__ChangeEvent" for n in range(5)]
    async with recording(tmp_path, *names) as rig:
        await until(lambda: len(rig.source.starts) == 5)
        for name in names:
            await rig.source.fail(name, AWAY)
        await until(lambda: len(rig.source.starts) == 10)
        assert all(b - a >= 0.99 for a, b in pairwise(rig.source.start_times_s[5:]))
        assert rig.metric("resubscribe_total", reason="SourceUnavailable") == 5


async def test_a_channel_that_stops_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    other = "/data/ContactChangeEvent"
    async with recording(tmp_path, CASES, other, prepare=refuse(CASES, [NOT_FOUND] * 3)) as rig:
        await until(lambda: rig.stretches())
        await rig.source.publish(other, event(1))
        await until(lambda: rig.event_ids() == ["e1"])
        (stretch,) = rig.stretches().values()
        assert (stretch["channel"], stretch["status"], stretch["to_at"]) == (CASES, "lost", None)
        position = rig.position(CASES)
        assert (position.standing, position.trouble) == ("stopped", NOT_FOUND.sentence())


async def test_a_stopped_channel_looks_again_and_ends_its_stretch_without_loss(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        await rig.source.publish(ALL, *(event(n) for n in range(1, 4)))
        await until(lambda: stored(rig) == replay(2))
        rig.source.refusals[ALL] = [NOT_FOUND, NOT_FOUND]
        await rig.source.fail(ALL, AWAY)
        await until(lambda: any(s["to_at"] is None for s in rig.stretches().values()))
        await rig.source.publish(ALL, event(4))
        await until(lambda: rig.event_ids() == ["e1", "e2", "e3", "e4"])
        (stretch,) = await until(lambda: [s for s in rig.stretches().values() if s["status"] == "repaired"])
        assert "resumed from the stored position" in stretch["evidence"]
        assert len(rig.stretches()) == 1
        assert rig.repairs() == []


async def test_a_stretch_left_open_by_one_process_is_ended_by_the_next(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        await rig.source.publish(ALL, *(event(n) for n in range(1, 4)))
        await until(lambda: stored(rig) == replay(2))
        rig.source.refusals[ALL] = [NOT_FOUND] * 1000
        await rig.source.fail(ALL, AWAY)
        await until(lambda: rig.stretches())
    rig.source.refusals[ALL] = []
    async with recording(tmp_path, rig=rig) as again:
        await until(lambda: [s for s in again.stretches().values() if s["status"] == "repaired"])


async def test_an_empty_response_without_a_position_tells_only_that_the_channel_lives(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        await rig.source.publish(ALL, *(event(n) for n in range(1, 4)))
        await until(lambda: stored(rig) == replay(2))
        heard = rig.position().heard_at
        await rig.source.keepalive(ALL, ReplayId(b""))
        await until(lambda: rig.position().heard_at > heard)
        assert stored(rig) == replay(2)


async def test_an_empty_response_that_names_the_open_group_does_not_pass_it(tmp_path: Path) -> None:
    """Credit withheld in the middle of a group: the rest comes later, under the same replay id."""
    async with recording(tmp_path) as rig:
        group = replay(7)
        await rig.source.publish(ALL, event(1), event(2, position=group))
        await until(lambda: len(rig.event_ids()) == 2)
        await rig.source.keepalive(ALL, group)
        heard = rig.position().heard_at
        await until(lambda: rig.position().heard_at >= heard)
        await rig.source.fail(ALL, AWAY)
        await rig.source.publish(ALL, event(3, position=group))
        # A service resumes strictly after a position: from the group's own id its rest would never come.
        await until(lambda: len(rig.source.starts) > 1)
        assert rig.source.began_at(ALL)[1] == replay(1)
        await until(lambda: rig.event_ids() == ["e1", "e2", "e3"])
        await rig.source.keepalive(ALL, group)
        await rig.source.keepalive(ALL, group)
        await until(lambda: stored(rig) == group)  # quiet for long: the group is complete


async def test_replay_ids_of_any_length_and_order_are_taken_as_they_come(tmp_path: Path) -> None:
    odd = [ReplayId(b"\1" * 8), ReplayId(b"\0" * 8), ReplayId(b"z"), ReplayId(b"\2" * 40)]
    async with recording(tmp_path) as rig:
        await rig.source.publish(ALL, *(event(n, position=p) for n, p in enumerate(odd, 1)))
        await until(lambda: rig.event_ids() == ["e1", "e2", "e3", "e4"])
        await until(lambda: stored(rig) == odd[2])
        await rig.source.fail(ALL, AWAY)
        await rig.source.publish(ALL, event(5))
        await until(lambda: rig.event_ids() == ["e1", "e2", "e3", "e4", "e5"])
        assert rig.source.began_at(ALL)[1] == odd[2]


async def test_while_schemas_cannot_be_had_the_stream_is_kept_and_nothing_is_delivered_again(
    tmp_path: Path,
) -> None:
    def prepare(rig: Rig) -> None:
        rig.source.schema_failures = [
            *[SourceUnavailable("schemas cannot be looked up just now")] * 5,
            AuthExpired("the session has expired"),
        ]

    async with recording(tmp_path, prepare=prepare) as rig:
        await rig.source.publish(ALL, event(1), event(2))
        await until(lambda: rig.event_ids() == ["e1", "e2"])
        assert len(rig.source.starts) == 1


async def test_an_unknown_schema_keeps_its_events_raw_until_it_is_known(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        await rig.source.publish(ALL, event(1), event(2, schema_id="later"))
        await until(lambda: rig.event_ids() == ["e1", "e2"])
        assert [r.topic for r in rig.records("CaseChangeEvent", "quarantine")] == [
            "CaseChangeEvent",
            "quarantine",
        ]
        rig.source.schemas["later"] = SCHEMA
        job = Job(
            "schema-later", "schema", "", "an event of it was put aside", "journal", Millis(1), ("later",)
        )
        rig.log.publish([job.to_record()])
        await until(lambda: [r for r in rig.records("schemas") if r.key == "later"])
        await rig.source.publish(ALL, event(3, schema_id="later"))
        await until(lambda: len(rig.event_ids()) == 3)
        assert [r.topic for r in rig.records("CaseChangeEvent", "quarantine")][-1] == "CaseChangeEvent"


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"type":"record","name":"jobs","fields":[{"name":"a","type":"int"}]}',
        '{"type":"record","name":"a/b","fields":[{"name":"a","type":"int"}]}',
        '{"type":"array","items":' * 2000 + '"int"' + "}" * 2000,
    ],
)
async def test_a_schema_that_cannot_be_used_sends_its_events_to_quarantine_and_the_stream_goes_on(
    text: str, tmp_path: Path
) -> None:
    def prepare(rig: Rig) -> None:
        rig.source.schemas["odd"] = text

    async with recording(tmp_path, prepare=prepare) as rig:
        await rig.source.publish(ALL, event(1, schema_id="odd"), event(2))
        await until(lambda: rig.event_ids() == ["e1", "e2"])
        assert [r.topic for r in rig.records("CaseChangeEvent", "quarantine")] == [
            "quarantine",
            "CaseChangeEvent",
        ]
        assert rig.metric("quarantined_total") == 1


async def test_an_event_larger_than_the_log_takes_is_said_and_the_stream_goes_on(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        huge = body("500000000000001AAA", subject="x" * 5_000_000)
        await rig.source.publish(ALL, SourceEvent("big", replay(1), SchemaId("s1"), huge), event(2))
        await until(lambda: rig.event_ids() == ["big", "e2"])
        (kept,) = rig.told("quarantine")
        assert (kept["payload"], kept["entity"]) == (b"", "Case")
        assert "more than the log takes" in kept["reason"]


async def test_a_duplicate_under_another_replay_id_is_dropped_and_counted(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        await rig.source.publish(ALL, event(1), event(2), event(1, position=replay(3)), event(4))
        await until(lambda: rig.event_ids() == ["e1", "e2", "e4"])
        assert rig.metric("duplicates_dropped_total", channel=ALL) == 1
        assert rig.metric("events_total", channel=ALL, kind="UPDATE") == 3


async def test_a_used_up_allocation_is_its_own_standing_and_the_pauses_grow(tmp_path: Path) -> None:
    used_up = DeliveryLimitReached("the allocation of 24 hours is used up", where=ALL)
    async with recording(tmp_path, prepare=refuse(ALL, [used_up] * 7), speed=2000) as rig:
        await until(lambda: rig.position().standing == "limited")
        await rig.source.publish(ALL, event(1))
        await until(lambda: rig.event_ids() == ["e1"], 60)
        pauses = [b - a for a, b in pairwise(rig.source.start_times_s)]
        assert pauses[3] > 240 > pauses[0] * 0.5  # doubled three times, at least half of each
        await until(lambda: rig.position().standing == "live")


async def test_a_position_in_a_backlog_is_as_old_as_its_events(tmp_path: Path) -> None:
    """72 hours after an event was committed it has left the bus, however lately it was read."""
    async with recording(tmp_path) as rig:
        await until(lambda: rig.recorder.writer.org_ahead_ms is not None)
        old = rig.clock.wall_ms() - 70 * 3_600_000
        await rig.source.publish(ALL, event(1, at=old), event(2, at=old))
        await until(lambda: stored(rig) == replay(1))
        position = rig.position()
        assert 0 <= position.stored_at - old < 600_000
        assert rig.metric("source_lag_seconds", channel=ALL) >= 69 * 3600


async def test_an_org_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        rig.source.login_failures = [OrgUnavailable("the host's name cannot be resolved", where="login")] * 3

    async with recording(tmp_path, prepare=prepare) as rig:
        await rig.source.publish(ALL, event(1))
        await until(lambda: rig.event_ids() == ["e1"])


async def test_a_log_that_is_away_fills_the_queue_and_no_more_and_all_is_written_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdc.capture.recorder.QUEUED_EVENTS_MAX", 300)
    async with recording(tmp_path) as rig:
        await rig.source.publish(ALL, event(1))
        await until(lambda: rig.event_ids() == ["e1"])
        rig.log.away = True
        await rig.source.publish(ALL, *(event(n) for n in range(2, 3002)))
        await until(lambda: rig.metric("queue_events") >= 200)
        before = rig.clock.monotonic_s()
        await until(lambda: rig.clock.monotonic_s() > before + 60)
        assert rig.metric("queue_events") <= 300
        assert len(rig.event_ids()) == 1
        rig.log.away = False
        await until(lambda: len(rig.event_ids()) == 3001)
        assert rig.event_ids() == [f"e{n}" for n in range(1, 3002)]
        assert rig.metric("errors_total", kind="LogUnavailable") > 0


async def test_unknown_schema_errors_are_no_reason_to_lose_what_came_before(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        rig.source.schema_failures = [Undecodable("no such schema")]  # not known everywhere at once
        await rig.source.publish(ALL, event(1))
        await until(lambda: rig.event_ids() == ["e1"])
        assert [r.topic for r in rig.records("CaseChangeEvent", "quarantine")] == ["CaseChangeEvent"]


def refuse(channel: str, errors: list[ChannelStopped] | list[DeliveryLimitReached]) -> object:
    def prepare(rig: Rig) -> None:
        rig.source.refusals[channel] = list(errors)

    return prepare
