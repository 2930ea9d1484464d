"""What the channels carry is looked at again and again: what they do not carry is named, and repaired afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.capture.members import carried
from cdc.capture.options import CaptureOptions
from cdc.errors import NotFound, OrgUnavailable, SettingsError
from cdc.ports.org import ChannelMember
from tests.unit.capture.recording import ALL, CASES, Rig, event, recording, until

TEAM = "/data/Team__chn"


def kinds(rig: Rig, *, still: bool = True) -> dict[str, str]:
    """Open stretches of entities: their kind and the entity -> the reason."""
    return {
        s["stretch_id"].partition("-")[0] + " " + s["entity"]: s["reason"]
        for s in rig.stretches().values()
        if s["entity"] and (s["to_at"] is None) == still
    }


async def test_an_entity_named_in_the_settings_and_not_selected_is_said(tmp_path: Path) -> None:
    async with recording(tmp_path, entities=("Case", "Invoice__c")) as rig:
        await until(lambda: "unselected Invoice__c" in kinds(rig))
        assert "not selected for Change Data Capture" in kinds(rig)["unselected Invoice__c"]
        assert rig.metric("gaps_total", reason="unselected") == 1


async def test_an_entity_taken_from_the_channel_is_a_hole_until_it_is_back_and_then_read_anew(
    tmp_path: Path,
) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.channels = {ALL: ["Case", "Account"]}

    async with recording(tmp_path, prepare=prepare, speed=2000) as rig:
        await until(lambda: ALL in rig.recorder.writer.positions.channels)
        assert kinds(rig) == {}
        rig.org.channels = {ALL: ["Case"]}
        await until(lambda: "unselected Account" in kinds(rig))
        looked = rig.org.asked.count("members")
        await until(lambda: rig.org.asked.count("members") > looked + 2)
        assert "unselected Account" in kinds(rig)  # it does not end by being looked at again
        rig.org.channels = {ALL: ["Case", "Account"]}
        await until(lambda: "unselected Account" in kinds(rig, still=False))
        assert rig.repairs() == ["Account"]
        assert kinds(rig) == {}


async def test_an_entity_taken_away_while_nothing_ran_is_noticed_at_the_next_start(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.channels = {ALL: ["Case", "Account"]}

    async with recording(tmp_path, prepare=prepare) as rig:
        await until(lambda: ALL in rig.recorder.writer.positions.channels)
    rig.org.channels = {ALL: ["Case"]}
    for _ in range(2):
        async with recording(tmp_path, rig=rig) as again:
            await until(lambda: "unselected Account" in kinds(again))
            await until(lambda: len(again.recorder.channels) == 1)
            assert "unselected Account" in kinds(again)


async def test_an_entity_newly_selected_is_found_by_its_first_event_and_gets_its_baseline(
    tmp_path: Path,
) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.channels = {ALL: ["Account"]}

    async with recording(tmp_path, prepare=prepare, baseline=True) as rig:
        await until(lambda: "describe" in rig.org.asked)
        rig.org.channels = {ALL: ["Account", "Case"]}
        await rig.source.publish(ALL, event(1), event(2))  # of Case, which nobody had announced
        await until(lambda: set(rig.recorder.scheduler.entities[ALL]) == {"Account", "Case"})
        await until(
            lambda: any(job["entity"] == "Case" and job["state"] == "ended" for job in rig.told("jobs"))
        )


async def test_a_filter_of_the_channel_is_a_hole_of_its_entity(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.filters = {"Case": "Status = 'Open'"}

    async with recording(tmp_path, prepare=prepare) as rig:
        await until(lambda: "filtered Case" in kinds(rig))
        assert "Status = 'Open'" in kinds(rig)["filtered Case"]


async def test_an_entity_this_user_may_no_longer_see_is_a_hole_until_it_is_seen_again(tmp_path: Path) -> None:
    async with recording(tmp_path, speed=4000) as rig:
        await until(lambda: ALL in rig.recorder.writer.positions.channels)
        rig.org.gone = {"Case"}
        await until(lambda: "unreadable Case" in kinds(rig))
    async with recording(tmp_path, rig=rig) as again:
        await until(lambda: len(again.recorder.channels) == 1)
        assert "unreadable Case" in kinds(again)  # a restart does not make it visible
        rig.org.gone = set()
        await until(lambda: "unreadable Case" in kinds(again, still=False))
        assert again.repairs() == ["Case"]


async def test_an_entity_on_two_configured_channels_is_refused_at_the_start(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.channels = {ALL: ["Case"], TEAM: ["Case"]}

    with pytest.raises(SettingsError, match="no order between them"):
        async with recording(tmp_path, ALL, TEAM, prepare=prepare) as rig:
            await rig.ended()


async def test_an_entity_that_comes_to_be_on_two_channels_is_said_and_recording_goes_on(
    tmp_path: Path,
) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.channels = {ALL: ["Case"], TEAM: ["Account"]}

    async with recording(tmp_path, ALL, TEAM, prepare=prepare, speed=2000) as rig:
        await until(lambda: ALL in rig.recorder.writer.positions.channels)
        rig.org.channels = {ALL: ["Case"], TEAM: ["Account", "Case"]}
        await until(lambda: "tworoads Case" in kinds(rig))
        await rig.source.publish(ALL, event(1))
        await until(lambda: rig.event_ids() == ["e1"])


@pytest.mark.parametrize(
    "failure",
    [NotFound("the org's channel members cannot be read"), OrgUnavailable("the org did not answer in time")],
)
async def test_without_the_members_recording_goes_on_and_learns_from_what_comes(
    failure: Exception, tmp_path: Path
) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.failures = {"members": failure, "limits": failure}  # type: ignore[dict-item]

    async with recording(tmp_path, prepare=prepare, speed=1000) as rig:
        await rig.source.publish(ALL, event(1), event(2))
        await until(lambda: rig.event_ids() == ["e1", "e2"])
        await until(lambda: rig.recorder.scheduler.entities[ALL] == ("Case",))


async def test_a_channel_taken_out_of_the_settings_is_not_live_any_more(tmp_path: Path) -> None:
    async with recording(tmp_path, CASES, "/event/Order__e") as rig:
        await rig.source.publish(CASES, event(1), event(2))
        await until(lambda: rig.position(CASES).live_from)
    async with recording(tmp_path, "/event/Order__e", rig=rig) as again:
        await until(lambda: again.position(CASES).standing == "off")
        position = again.position(CASES)
        assert (position.live_from, position.replay_id is not None) == (0, True)


def test_single_entity_channels_need_no_members_and_custom_channels_have_their_own() -> None:
    options = CaptureOptions("acme", "", channels=(CASES, TEAM, "/data/Invoice__ChangeEvent"))
    members = [ChannelMember(TEAM, "Account"), ChannelMember(ALL, "Lead")]
    assert carried(options, members, {}).entities == {
        CASES: ("Case",),
        TEAM: ("Account",),
        "/data/Invoice__ChangeEvent": ("Invoice__c",),
    }
