"""Topics: which entities a channel carries, which fields it enriches, which events it lets through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.simulator.errors import BusError

DEFAULT_CHANNEL = "ChangeEvents"
DATA = "/data/"
EVENT = "/event/"

ENRICHED_FIELDS_MAX = 10
"""Per member (protocol 2.9)."""

Filter = Callable[[Mapping[str, Any]], bool]
"""Says whether an event goes through: gets the record's values, and `ChangeEventHeader.…` of the event."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entity selected on one channel. `enriched` are paths; `accepts` is the compiled filter."""

    entity: str
    enriched: tuple[str, ...] = ()
    filter_expression: str = ""
    accepts: Filter | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic name resolved to: its members by entity. `single`: its name names the one entity."""

    name: str
    members: Mapping[str, Member]
    single: bool


class Channels:
    """Every channel of the org by name (`ChangeEvents`, `Team__chn`), and the platform events it knows."""

    def __init__(self, entity_of_event: Mapping[str, str]) -> None:
        self._entity_of_event = entity_of_event
        self._channels: dict[str, dict[str, Member]] = {
            DEFAULT_CHANNEL: {entity: Member(entity) for entity in entity_of_event.values()}
        }
        self._event_channels: dict[str, dict[str, Member]] = {}
        self.platform_events: dict[str, str] = {}

    def set_members(self, channel: str, members: tuple[Member, ...]) -> None:
        """Select entities on a channel; none: the channel is gone."""
        if members or channel == DEFAULT_CHANNEL:
            self._channels[channel] = {member.entity: member for member in members}
        else:
            self._channels.pop(channel, None)

    def set_event_members(self, channel: str, events: tuple[str, ...]) -> None:
        """Put platform events on a channel of their own (`/event/Ops__chn`); none: the channel is gone."""
        if events:
            self._event_channels[channel] = {event: Member(event) for event in events}
        else:
            self._event_channels.pop(channel, None)

    @property
    def event_channels(self) -> frozenset[str]:
        """Channels of platform events."""
        return frozenset(self._event_channels)

    def members(self) -> list[tuple[str, Member]]:
        """Every (channel, member), as the Tooling API lists them."""
        channels = (*self._channels.items(), *self._event_channels.items())
        return [(name, member) for name, members in channels for member in members.values()]

    def selected(self) -> frozenset[str]:
        """Entities that publish change events at all."""
        return frozenset(entity for members in self._channels.values() for entity in members)

    def topic(self, name: str) -> Topic:
        """Resolve `/data/ChangeEvents`, `/data/XChangeEvent`, `/data/Y__chn`, `/event/Z__e`, `/event/V__chn`.

        Raises BusError.
        """
        if not name:
            raise BusError("topic.validation.empty", "The topic name is blank.")
        if name.startswith(DATA):
            short = name.removeprefix(DATA)
            if short in self._channels:
                return Topic(name, self._channels[short], single=False)
            entity = self._entity_of_event.get(short)
            if entity is not None:
                members = {entity: Member(entity)} if entity in self.selected() else {}
                return Topic(name, members, single=True)
        elif name.startswith(EVENT) and name.removeprefix(EVENT) in self._event_channels:
            return Topic(name, self._event_channels[name.removeprefix(EVENT)], single=False)
        elif name.startswith(EVENT) and name.removeprefix(EVENT) in self.platform_events:
            event = name.removeprefix(EVENT)
            return Topic(name, {event: Member(event)}, single=True)
        raise BusError("topic.not.found", f"The topic name {name!r} is not found.")

    def entity_of(self, topic: str) -> str | None:
        """The entity or platform event that a topic of one entity names, selected or not."""
        if topic.startswith(EVENT):
            return topic.removeprefix(EVENT)
        return self._entity_of_event.get(topic.removeprefix(DATA))
