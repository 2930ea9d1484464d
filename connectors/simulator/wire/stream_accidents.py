"""What goes wrong on a subscription and in the calls beside it, when told to: errors, silence, odd responses.

Everything here acts where the service itself, or a proxy before it, would: the bus and the truth know nothing of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import grpc

from connectors.simulator.errors import BusError
from connectors.simulator.faults import Faults
from connectors.simulator.model import Delivered

COUNTER_BYTES = 8
SCHEMA_PADDING_BYTES = 200_000


def check_call(faults: Faults, call: str) -> None:
    """Raises the BusError a call beside the streams is refused with, if any."""
    fault = faults.take("call_error", call=call)
    if fault is not None:
        raise BusError(str(fault.parameters.get("code", "service.unavailable")), "The call was told to fail.")


def check_stream(faults: Faults, delivered: int) -> bool:
    """Raises the BusError that a stream ends with after so many events; True when it ends without an error."""
    error = faults.active("stream_error")
    if error is not None and delivered >= int(error.parameters.get("after", 0)):
        faults.take("stream_error")
        message = str(error.parameters.get("message", "The stream was told to fail."))
        raise BusError(str(error.parameters.get("code", "subscription.internal.error")), message)
    ended = faults.active("stream_ended")
    if ended is not None and delivered >= int(ended.parameters.get("after", 0)):
        faults.take("stream_ended")
        return True
    return False


def is_silent(faults: Faults) -> bool:
    """Nothing is said on any stream, and all of them stay open."""
    return faults.active("stream_silent") is not None


def room(faults: Faults, room: int, delivered: int) -> int:
    """How many events may go into the next response."""
    for name in ("stream_error", "stream_ended"):
        fault = faults.active(name)
        if fault is not None:
            room = min(room, int(fault.parameters.get("after", 0)) - delivered)
    return min(room, 1) if faults.active("stream_drip") is not None else room


async def pause(faults: Faults) -> None:
    """Between two responses that drip."""
    fault = faults.take("stream_drip")
    if fault is not None:
        await asyncio.sleep(float(fault.parameters.get("ms", 50)) / 1000)


def counts_credit(faults: Faults, owed: int) -> bool:
    """Whether a request for more is counted; the first one of a stream always is."""
    return not owed or faults.take("credit_lost") is None


def distorted(faults: Faults, events: Sequence[Delivered], position: bytes) -> tuple[list[Delivered], bytes]:
    """Events and position of a response as they leave."""
    out = list(events)
    if len(out) > 1 and faults.take("replay_unordered") is not None:
        for at in range(0, len(out) - 1, 2):
            first, second = out[at], out[at + 1]
            out[at] = first._replace(replay_id=second.replay_id)
            out[at + 1] = second._replace(replay_id=first.replay_id)
    if out and faults.take("delivered_twice") is not None:
        out = [twice for event in out for twice in (event, event)]
    if faults.active("short_replay") is not None:
        out = [event._replace(replay_id=event.replay_id[:COUNTER_BYTES]) for event in out]
        position = position[:COUNTER_BYTES]
    if faults.active("blank_position") is not None:
        position = b""
    return out, position


def schema_text(faults: Faults, text: str) -> str:
    """A schema as GetSchema gives it: the same fields, and perhaps much that nobody has asked for."""
    fault = faults.take("schema_padded")
    if fault is None:
        return text
    schema = json.loads(text)
    padding = "x" * int(fault.parameters.get("bytes", SCHEMA_PADDING_BYTES))
    schema["sfdcNotes"] = {"padding": padding}
    for field in schema.get("fields", ()):
        if isinstance(field.get("type"), list):
            field["type"] = [_with_logical_type(branch) for branch in field["type"]]
    return json.dumps(schema)


def _with_logical_type(branch: Any) -> Any:
    if branch in ("long", "string", "double", "int"):
        return {"type": branch, "logicalType": f"sfdc-unheard-of-{branch}"}
    return branch


def status_of_refusal(faults: Faults, status: grpc.StatusCode) -> grpc.StatusCode:
    """The status a refusal comes with."""
    fault = faults.active("odd_status")
    if fault is None:
        return status
    return grpc.StatusCode[str(fault.parameters.get("status", "UNKNOWN")).upper()]


def has_trailer(faults: Faults) -> bool:
    """Whether a refusal names its code."""
    return faults.active("no_trailer") is None
