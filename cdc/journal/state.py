"""What the writer carries from one transaction to the next; all of it is in the file too, and read at open.

ordinal, offsets    how far the log is held (`store.checkpoint`)
channels            the newest position of each channel, and the greatest commit time (`store.channels`)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from cdc.journal.statements import statement
from cdc.journal.tables import CHANNELS, append, moment, registered
from cdc.ports.log import Checkpoint
from cdc.ports.types import Ordinal


@dataclass(frozen=True, slots=True)
class ChannelState:
    """Times are epoch ms, 0 where not known."""

    channel: str
    replay_id: bytes | None = None
    passed_to: int = 0
    live_from: int = 0
    stored_at: int = 0
    max_committed: int = 0
    at_seq: int = 0
    heard_at: int = 0
    standing: str = ""
    trouble: str = ""


@dataclass(slots=True)
class Held:
    """A transaction works on a copy, which takes the place of this one when it is committed."""

    org: str
    ordinal: Ordinal = Ordinal(0)
    offsets: dict[str, int] = field(default_factory=dict)
    channels: dict[str, ChannelState] = field(default_factory=dict)

    def copy(self) -> Held:
        return replace(self, offsets=dict(self.offsets), channels=dict(self.channels))

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(dict(self.offsets), self.ordinal)

    def channel(self, name: str) -> ChannelState:
        return self.channels.get(name) or ChannelState(name)

    def max_committed(self) -> Mapping[str, int]:
        """Greatest commit time so far, by channel."""
        return {name: channel.max_committed for name, channel in self.channels.items()}


def load(connection: Any, org: str) -> Held:
    """What the file holds."""
    row = connection.execute("SELECT ordinal, offsets FROM store.checkpoint").fetchone()
    held = Held(org)
    if row is not None:
        held.ordinal, held.offsets = Ordinal(row[0]), json.loads(row[1])
    rows = connection.execute(
        "SELECT channel, replay_id, epoch_ms(passed_to), epoch_ms(live_from), epoch_ms(stored_at),"
        " epoch_ms(max_committed), at_seq, epoch_ms(heard_at), standing, trouble FROM store.channels"
    ).fetchall()
    for name, replay_id, *numbers, standing, trouble in rows:
        passed_to, live_from, stored_at, max_committed, at_seq, heard_at = (number or 0 for number in numbers)
        held.channels[name] = ChannelState(
            name, replay_id, passed_to, live_from, stored_at, max_committed, at_seq, heard_at,
            standing or "", trouble or "",
        )  # fmt: skip
    return held


def save(connection: Any, before: Held, after: Held) -> None:
    """What changed, inside the transaction of the rows it is about. Updated in place: deleted rows would pile up."""
    if after.checkpoint != before.checkpoint:
        told = [after.ordinal, json.dumps(after.offsets)]
        if not connection.execute("SELECT count(*) FROM store.checkpoint").fetchone()[0]:
            connection.execute("INSERT INTO store.checkpoint VALUES (?, ?)", told)
        else:
            connection.execute("UPDATE store.checkpoint SET ordinal = ?, offsets = ?", told)
    new = [_row(after.org, c) for name, c in after.channels.items() if name not in before.channels]
    append(connection, "channels", CHANNELS, new)
    changed = [
        _row(after.org, c)
        for name, c in after.channels.items()
        if name in before.channels and before.channels[name] != c
    ]
    if changed:
        with registered(connection, new_rows=pa.Table.from_pylist(changed, schema=CHANNELS)):
            connection.execute(statement("update_channels"))


def _row(org: str, c: ChannelState) -> dict[str, Any]:
    return {
        "channel": c.channel,
        "org": org,
        "replay_id": c.replay_id,
        "passed_to": moment(c.passed_to),
        "live_from": moment(c.live_from),
        "stored_at": moment(c.stored_at),
        "max_committed": moment(c.max_committed),
        "at_seq": c.at_seq,
        "heard_at": moment(c.heard_at),
        "standing": c.standing,
        "trouble": c.trouble,
    }
