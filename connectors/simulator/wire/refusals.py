"""How a gRPC call is refused: status, `error-code` trailer, RPC id (protocol section 1.8)."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

import grpc
import grpc.aio

from connectors.simulator.errors import BusError
from connectors.simulator.faults import Faults
from connectors.simulator.wire import stream_accidents as accidents

PREFIX = "sfdc.platform.eventbus.grpc."
TRAILER = "error-code"
RPC_ID_TRAILER = "rpc-id"

_STATUS_BY_WORD: tuple[tuple[str, grpc.StatusCode], ...] = (
    ("service.auth.", grpc.StatusCode.UNAUTHENTICATED),
    ("service.unavailable", grpc.StatusCode.UNAVAILABLE),
    (".api.unavailable", grpc.StatusCode.UNAVAILABLE),
    ("service.protection.", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ("limit.exceeded", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ("overflow", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ("not.found", grpc.StatusCode.NOT_FOUND),
    ("permission", grpc.StatusCode.PERMISSION_DENIED),
    ("cannot.subscribe", grpc.StatusCode.PERMISSION_DENIED),
    ("service.tenant.license", grpc.StatusCode.PERMISSION_DENIED),
    ("already.active", grpc.StatusCode.ALREADY_EXISTS),
    ("config.", grpc.StatusCode.FAILED_PRECONDITION),
    ("internal.error", grpc.StatusCode.INTERNAL),
    ("sweeper.timeout", grpc.StatusCode.DEADLINE_EXCEEDED),
)
"""Only three statuses are documented (all INVALID_ARGUMENT, the rule below); clients go by the code."""


class StreamReset(Exception):
    """The connection breaks under a stream: a status without a code, as a client sees RST_STREAM."""


def status_of(code: str) -> grpc.StatusCode:
    """The gRPC status that goes with an error code."""
    for word, status in _STATUS_BY_WORD:
        if word in code:
            return status
    return grpc.StatusCode.INVALID_ARGUMENT


def new_rpc_id() -> str:
    """The id of one call, in every answer and error of it."""
    return str(uuid.uuid4())


async def refuse(
    context: Any, error: BusError | StreamReset, rpc_id: str, faults: Faults | None = None
) -> NoReturn:
    """End the call with this error, as faults would have it."""
    faults = faults or Faults()
    if isinstance(error, StreamReset):
        await context.abort(
            grpc.StatusCode.UNAVAILABLE, "RST_STREAM closed stream. HTTP/2 error code: INTERNAL_ERROR"
        )
    else:
        code = ((TRAILER, PREFIX + error.code),) if accidents.has_trailer(faults) else ()
        await context.abort(
            accidents.status_of_refusal(faults, status_of(error.code)),
            f"{error.message} rpcId: {rpc_id}",
            trailing_metadata=(*code, (RPC_ID_TRAILER, rpc_id)),
        )
    raise AssertionError("abort raises")
