"""Entities without change capture are polled; and any entity while the delivery allocation is used up."""

from __future__ import annotations

from pathlib import Path

from cdc.answer import questions
from connectors.simulator.clock import MINUTE_MS
from connectors.simulator.model import Change, Op
from tests.integration.scanning import World, recorded


async def polled_again(world: World, entity: str = "Contact") -> None:
    """A poll that began after now has ended, and whatever it asked for."""
    now = world.org.clock.now_ms() + 2 * 2_000  # its Date may be behind
    channel = f"/poll/{entity}"

    def passed() -> bool:
        row = world.sql("SELECT epoch_ms(passed_to) FROM store.channels WHERE channel = ?", channel)
        return bool(row and row[0][0] > now)

    await world.until("it was polled again", passed)
    await world.until("no job is open", world._is_quiet)


async def test_a_polled_entity_is_known_as_of_its_last_poll_and_unknown_in_between(tmp_path: Path) -> None:
    async with recorded(
        tmp_path, members=("Account",), poll_entities=("Contact",), poll_interval_s=0.5
    ) as world:
        await world.until("baselines", lambda: world.baselines() >= 2)
        await polled_again(world)
        assert world.differences("Contact")[:3] == []
        ids = world.ids("Contact")
        updated, deleted, purged = ids[:3], ids[3:5], ids[5:7]
        before_ms = world.org.clock.now_ms()
        world.org.clock.advance(10 * MINUTE_MS)
        world.update(updated, "Contact", Title="once")
        world.org.clock.advance(10 * MINUTE_MS)
        between_ms = world.org.clock.now_ms()
        world.update(updated, "Contact", Title="twice")
        world.commit([Change("Contact", Op.DELETE, one) for one in (*deleted, *purged)])
        world.commit([Change("Contact", Op.HARD_DELETE, one) for one in purged])
        created = world.commit([Change("Contact", Op.CREATE, None, {"Name.LastName": "new"})]).record_ids[0]
        await polled_again(world)
        await polled_again(world)
        assert world.differences("Contact")[:3] == []
        now = world.states("Contact")
        assert {now[one]["fields"]["Title"] for one in updated} == {"twice"}
        assert {now[one]["status"] for one in (*deleted, *purged)} == {"deleted"}
        assert now[created]["status"] == "present"
        between = world.states("Contact", between_ms)
        assert {between[one]["status"] for one in (*updated, *purged)} == {"unknown"}
        assert between[ids[20]]["complete"]
        for at_ms in (before_ms, between_ms, world.org.clock.now_ms()):
            assert world.wrong_claims(at_ms, "Contact") == [], at_ms
        assert {
            source for (source,) in world.sql("SELECT DISTINCT source FROM changes WHERE entity = 'Contact'")
        } == {
            "baseline",
            "poll",
            "reread",
        }
        with world.journal.reader() as reader:
            [story] = questions.coverage(reader, "Contact").notes
        assert "read by query at intervals up to " in story


async def test_a_poll_that_finds_nothing_new_writes_no_row(tmp_path: Path) -> None:
    async with recorded(
        tmp_path, members=("Account",), poll_entities=("Contact",), poll_interval_s=0.2
    ) as world:
        await world.until("baselines", lambda: world.baselines() >= 2)
        await polled_again(world)
        world.update(world.ids("Contact")[:2], "Contact", Title="once")
        await polled_again(world)
        await polled_again(world)
        rows = "SELECT count(*) FROM changes WHERE source = 'poll' AND record_id IN (SELECT unnest(?))"
        assert world.sql(rows, world.ids("Contact")[:2]) == [(2,)]


async def test_while_the_allocation_is_used_up_the_channel_s_entities_are_polled(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), poll_interval_s=0.5) as world:
        await world.settled(entities=1)
        some = world.ids()[:3]
        world.org.faults.set("delivery_limit")
        world.org.faults.set("stream_reset", times=1)
        await world.until(
            "the limit is met",
            lambda: world.recorder.channels["/data/ChangeEvents"].state.standing == "limited",
        )
        world.update(some, Name="while nothing was delivered")
        polled = "SELECT count(DISTINCT record_id) FROM changes WHERE source = 'poll' AND record_id IN (SELECT unnest(?))"
        await world.until("it is polled", lambda: world.sql(polled, some) == [(3,)])
        [told] = world.stretches("stretch_id LIKE 'bridged-%'")
        assert (told["entity"], told["status"], told["to_at"]) == ("Account", "live", None)
        world.org.faults.clear("delivery_limit")
        await world.until(
            "events come again", lambda: not world.stretches("stretch_id LIKE 'bridged-%' AND to_at IS NULL")
        )
        await world.settled()
        assert world.differences()[:3] == []
        events = "SELECT count(*) FROM changes WHERE source = 'pubsub' AND record_id IN (SELECT unnest(?))"
        assert world.sql(events, some) == [(3,)]
        assert world.wrong_claims(world.org.clock.now_ms()) == []
