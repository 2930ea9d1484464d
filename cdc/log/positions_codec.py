"""Positions as the bytes of the `positions` topic, and back."""

from __future__ import annotations

from cdc.ports.log import ChannelPosition, Positions
from cdc.ports.types import Millis, Ordinal, ReplayId
from schemas.own import decode as decode_own
from schemas.own import encode as encode_own


def encode(positions: Positions) -> bytes:
    """`schemas/positions.avsc`, framed. Channels by name, so that equal positions are equal bytes."""
    return encode_own(
        "positions",
        {
            "org": positions.org,
            "next_ordinal": positions.next_ordinal,
            "channels": [
                {
                    "channel": channel.channel,
                    "replay_id": channel.replay_id,
                    "beyond": [{"event_id": event, "record_id": record} for event, record in channel.beyond],
                    "passed_to": channel.passed_to,
                    "stored_at": channel.stored_at,
                    "live_from": channel.live_from,
                    "heard_at": channel.heard_at,
                    "standing": channel.standing,
                    "trouble": channel.trouble,
                    "entities": list(channel.entities),
                }
                for _, channel in sorted(positions.channels.items())
            ],
        },
    )


def decode(value: bytes) -> Positions:
    """ValueError when the bytes are not a positions record."""
    record = decode_own("positions", value)
    channels = [
        ChannelPosition(
            channel=item["channel"],
            replay_id=None if item["replay_id"] is None else ReplayId(item["replay_id"]),
            beyond=tuple((seen["event_id"], seen["record_id"]) for seen in item["beyond"]),
            passed_to=Millis(item["passed_to"]),
            stored_at=Millis(item["stored_at"]),
            live_from=Millis(item["live_from"]),
            heard_at=Millis(item["heard_at"]),
            standing=item["standing"],
            trouble=item["trouble"],
            entities=tuple(item["entities"]),
        )
        for item in record["channels"]
    ]
    return Positions(
        record["org"], Ordinal(record["next_ordinal"]), {item.channel: item for item in channels}
    )
