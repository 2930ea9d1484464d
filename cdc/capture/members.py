"""What each channel carries: looked up at the start, and again and again while it runs.

From the channel's own name where it names one entity, else from the org's members. What an administrator
changes is noticed, and what the stream therefore does not carry is told as a stretch of its entity:

  not selected     named in the settings, or carried until now, and no member of the channel any more
  filtered         its member has a filter, which lets only some of its changes through
  not readable     this user may no longer see it; such entities are dropped from a channel in silence
  two roads        reachable through two channels, which have no order between them (at start: refused)

When the cause is gone the stretch ends there as lost, and the entity is read in full to repair it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cdc.capture.backoff import Backoff
from cdc.capture.holes import stretch
from cdc.capture.jobs import repair_request
from cdc.capture.options import DESCRIBE_EVERY_S, MEMBERS_EVERY_S, MEMBERS_HURRY_S, CaptureOptions
from cdc.capture.writer import Control, Stands
from cdc.change.names import entity_of_topic
from cdc.errors import AuthRefused, BadArgument, CdcError, NotFound, RetryLater, SettingsError
from cdc.logs import Event
from cdc.ports.log import LogRecord
from cdc.ports.org import ChannelMember
from cdc.ports.types import Millis

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

AGAIN_EVERY_S = 24 * 3600.0  # open stretches are told anew, long before the log's retention forgets them
FIRST_LOOK_MAX_S = 60.0  # then recording begins without: the bus keeps events for 72 hours only
DATA = "/data/"


@dataclass(frozen=True, slots=True)
class Carried:
    """Entities by channel, and what is wrong with some of them: (channel, entity, kind) -> a sentence."""

    entities: Mapping[str, tuple[str, ...]]
    wrong: Mapping[tuple[str, str, str], str] = field(default_factory=dict)


def single_entity(channel: str) -> str | None:
    """The entity of a channel that is named after it: `/data/AccountChangeEvent`."""
    return entity_of_topic(channel.removeprefix(DATA)) if channel.startswith(DATA) else None


def carried(
    options: CaptureOptions,
    members: Sequence[ChannelMember] | None,
    before: Mapping[str, tuple[str, ...]],
) -> Carried:
    """What the configured channels carry. `members` is None where the org does not tell; `before` is what they
    were last known to carry, and seen to carry since."""
    entities: dict[str, tuple[str, ...]] = {}
    wrong: dict[tuple[str, str, str], str] = {}
    shared = [c for c in options.channels if single_entity(c) is None]
    for channel in options.channels:
        own = single_entity(channel)
        if own is not None:
            entities[channel] = (own,)
            continue
        if members is None:
            named = options.entities if len(shared) == 1 else ()
            entities[channel] = tuple(dict.fromkeys((*named, *before.get(channel, ()))))
            continue
        found = {m.entity: m for m in members if m.channel == channel}
        entities[channel] = tuple(e for e in found if not options.entities or e in options.entities)
        wrong |= {
            (
                channel,
                m.entity,
                "filtered",
            ): f"the channel lets only changes of it through that fit {m.filter}"
            for m in found.values()
            if m.filter and m.entity in entities[channel]
        }
    if members is not None:
        wrong |= _not_selected(options, shared, entities, before)
    return Carried(entities, wrong | _two_roads(entities))


def _not_selected(
    options: CaptureOptions,
    shared: Sequence[str],
    entities: Mapping[str, tuple[str, ...]],
    before: Mapping[str, tuple[str, ...]],
) -> dict[tuple[str, str, str], str]:
    somewhere = {entity for names in entities.values() for entity in names}
    wrong = {
        (channel, entity, "unselected"): "it is no longer selected for Change Data Capture on this channel"
        for channel in shared
        for entity in before.get(channel, ())
        if entity not in somewhere and (not options.entities or entity in options.entities)
    }
    missing = [e for e in options.entities if e not in somewhere and not any(k[1] == e for k in wrong)]
    if shared:
        wrong |= {
            (
                shared[0],
                entity,
                "unselected",
            ): "it is not selected for Change Data Capture on any configured channel"
            for entity in missing
        }
    return wrong


def _two_roads(entities: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, str, str], str]:
    roads: dict[str, list[str]] = {}
    for channel, names in entities.items():
        for entity in names:
            roads.setdefault(entity, []).append(channel)
    return {
        (channels[0], entity, "tworoads"): (
            f"it is reachable through {' and '.join(sorted(channels))}, which have no order between them"
        )
        for entity, channels in roads.items()
        if len(channels) > 1
    }


@dataclass(slots=True)
class MemberWatch:
    """Looks, tells what changed, and keeps the scheduler's list of entities true."""

    recorder: Recorder
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)
    _described_s: float = float("-inf")
    _told_s: float = float("-inf")
    _unreadable: dict[str, str] = field(default_factory=dict)
    _surprises: dict[str, dict[str, None]] = field(
        default_factory=dict
    )  # channel -> entities seen, not announced

    async def open(self) -> None:
        """The first look. Errors: SettingsError where an entity is reachable through two configured channels."""
        now = await self._look(waits=True)
        for (_, entity, kind), why in now.wrong.items():
            if kind == "tworoads":
                raise SettingsError(
                    f"{entity}: {why}", where="salesforce.channels", do="configure one of them"
                )
        self._described_s = self._told_s = self.recorder.clock.monotonic_s()
        for channel in now.entities:  # what this user could not see is so until it is seen again
            self._unreadable |= self._holes_of(channel, "unreadable")
        await self._tell(now)

    async def run(self) -> None:
        """Look again, for ever; soon where an event came of an entity that nobody had announced."""
        clock = self.recorder.clock
        while True:
            hurried = await self._pause(MEMBERS_EVERY_S)
            if hurried:
                await clock.sleep(MEMBERS_HURRY_S)
            self._stirred.clear()
            now = await self._look(waits=False)
            if clock.monotonic_s() - self._described_s >= DESCRIBE_EVERY_S:
                self._described_s = clock.monotonic_s()
                await self._describe(now)
            await self._tell(now)
            if clock.monotonic_s() - self._told_s >= AGAIN_EVERY_S:
                self._told_s = clock.monotonic_s()
                await self.recorder.put(Control(self.recorder.holes.again()))

    def noticed(self, channel: str, entity: str) -> None:
        """An event of this entity came: if it was not known to be carried, the members have changed."""
        if not entity or entity in self.recorder.scheduler.entities.get(channel, (entity,)):
            return
        surprises = self._surprises.setdefault(channel, {})
        if entity not in surprises:
            surprises[entity] = None
            self._stirred.set()

    def _holes_of(self, channel: str, kind: str) -> dict[str, str]:
        """Entities whose stretch of a kind is open on a channel, with its reason: also those of an earlier process."""
        holes = self.recorder.holes.of_entities(channel)
        return {str(s["entity"]): str(s["reason"]) for k, s in holes.items() if k.startswith(f"{kind}-")}

    async def _pause(self, seconds: float) -> bool:
        """Sleep by the recorder's clock; True as soon as somebody stirred."""
        sleeping = asyncio.ensure_future(self.recorder.clock.sleep(seconds))
        stirred = asyncio.create_task(self._stirred.wait())
        try:
            await asyncio.wait({sleeping, stirred}, return_when=asyncio.FIRST_COMPLETED)
            return stirred.done()
        finally:
            sleeping.cancel()
            stirred.cancel()

    async def _look(self, *, waits: bool) -> Carried:
        """What the channels carry; the first look waits for an org that is away, a while; else what was known."""
        recorder = self.recorder
        before = {
            c: (*recorder.writer.reached(c).position.entities, *self._holes_of(c, "unselected"))
            for c in recorder.options.channels
        }
        seen = {c: tuple(dict.fromkeys((*names, *self._surprises.get(c, ())))) for c, names in before.items()}
        backoff, clock = Backoff(), recorder.clock
        patient_until_s = clock.monotonic_s() + FIRST_LOOK_MAX_S
        while any(single_entity(c) is None for c in recorder.options.channels):
            try:
                members = await recorder.org.members()
                break
            except RetryLater as error:
                recorder.troubles.note(error)
                recorder.org_logger.warning(Event.CHANNEL_RETRY, step="members", error=error.sentence())
                if not waits or clock.monotonic_s() > patient_until_s:
                    return carried(recorder.options, None, seen)
                await clock.sleep(backoff.pause_s(error.retry_after_s))
            except (NotFound, BadArgument, AuthRefused) as error:
                if waits and isinstance(error, AuthRefused):
                    raise
                recorder.troubles.note(error)
                recorder.org_logger.warning(Event.MEMBERS_UNKNOWN, error=error.sentence())
                return carried(recorder.options, None, seen)
        else:
            members = ()
        return carried(recorder.options, members, before)

    async def _describe(self, now: Carried) -> None:
        """Once more what this user may read of each entity; one that is not seen any more is dropped in silence."""
        for entity in dict.fromkeys(e for names in now.entities.values() for e in names):
            try:
                await self.recorder.scheduler.scanner.describe(entity)
                self._unreadable.pop(entity, None)
            except NotFound as error:
                self._unreadable[entity] = error.sentence()
            except CdcError as error:
                self.recorder.troubles.note(error)

    async def _tell(self, now: Carried) -> None:
        """Write what changed: entities of a channel, stretches that begin, stretches that end with their repair."""
        recorder = self.recorder
        for channel, entities in now.entities.items():
            wrong = {k: why for k, why in now.wrong.items() if k[0] == channel}
            wrong |= {
                (channel, e, "unreadable"): self._unreadable[e] for e in entities if e in self._unreadable
            }
            control = self._stretches(channel, wrong)
            carries = recorder.writer.reached(channel).position.entities
            if control or set(carries) != set(entities):
                recorder.org_logger.info(Event.MEMBERS_CHANGED, channel=channel, entities=list(entities))
                await recorder.put(Stands(channel, entities=entities, control=control))
        recorder.scheduler.set_entities(dict(now.entities))

    def _stretches(self, channel: str, wrong: Mapping[tuple[str, str, str], str]) -> list[LogRecord]:
        recorder, now = self.recorder, self.recorder.org_clock.now()
        wanted = {f"{kind}-{channel}-{entity}": (entity, why) for (_, entity, kind), why in wrong.items()}
        still = recorder.holes.of_entities(channel)
        open_now = {_cause(stretch_id): stretch_id for stretch_id in still}
        out: list[LogRecord] = []
        for cause, (entity, why) in wanted.items():
            if cause not in open_now:
                recorder.metrics.gaps.labels(cause.partition("-")[0]).inc()
                out += recorder.holes.open(
                    stretch(
                        f"{cause}@{now}",
                        channel,
                        now,
                        entity=entity,
                        reason=why,
                        evidence="channel members",
                        from_ordinal=recorder.last_ordinal(),
                    )
                )
        for cause, stretch_id in open_now.items():
            if cause not in wanted:
                told = still[stretch_id]
                out += recorder.holes.close(stretch_id, now)
                out.append(
                    repair_request(
                        str(told["entity"]),
                        Millis(told["from_at"]),
                        str(told["reason"]),
                        recorder.clock.wall_ms(),
                    )
                )
        return out


def _cause(stretch_id: str) -> str:
    return stretch_id.rpartition("@")[0]
