"""What the Pub/Sub API's error codes mean: the code decides, the gRPC status only where there is no code.

Source: "Handle Errors" of the Pub/Sub API guide. A code comes in the trailer `error-code`, with the prefix
below. `translate` is the one place where errors of that service become ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import grpc

from cdc.errors import (
    AuthExpired,
    CdcError,
    ChannelStopped,
    DeliveryLimitReached,
    PositionLost,
    SourceUnavailable,
)

PREFIX = "sfdc.platform.eventbus.grpc."
TRAILER = "error-code"
SAID_CHARS_MAX = 300
THROTTLED_PAUSE_S = 30.0  # the service asks to slow down and does not say for how long

_SELF = "it resumes by itself from the stored position"
_BUG = "this is a fault of this program: report it with this sentence"


class Meaning(NamedTuple):
    """The class to raise, what happened, what to do, and the least pause where the code asks for one."""

    kind: type[CdcError]
    what: str
    do: str
    pause_s: float | None = None


MEANINGS: Mapping[str, Meaning] = {
    "service.unavailable": Meaning(SourceUnavailable, "the event service is unavailable", _SELF),
    "service.auth.error": Meaning(
        AuthExpired, "the event service does not accept the session", "a fresh token is fetched"
    ),
    "service.auth.headers.invalid": Meaning(
        ChannelStopped,
        "the event service calls the session headers invalid",
        "check instance_url, org_id and the login settings",
    ),
    "service.auth.refresh.invalid": Meaning(ChannelStopped, "the auth refresh field is invalid", _BUG),
    "service.protection.stream.limit.triggered": Meaning(
        SourceUnavailable, "too many requests on the stream", _SELF, THROTTLED_PAUSE_S
    ),
    "service.protection.triggered": Meaning(
        SourceUnavailable, "too many connections or requests", _SELF, THROTTLED_PAUSE_S
    ),
    "service.tenant.license": Meaning(
        ChannelStopped, "the org is not licensed for the Pub/Sub API", "ask Salesforce for the licence"
    ),
    "concurrent.client.limit.exceeded": Meaning(
        SourceUnavailable,
        "too many clients are connected to the org's event bus",
        "stop other subscribers; it is tried again by itself",
        THROTTLED_PAUSE_S,
    ),
    "topic.not.found": Meaning(
        ChannelStopped,
        "the org has no such channel",
        "check its name (capitals count) and that the entity is selected for Change Data Capture",
    ),
    "topic.meta.permission": Meaning(
        ChannelStopped,
        "the user may not see this channel",
        "give the user View All Records on its entities, or View All Data",
    ),
    "topic.api.unavailable": Meaning(SourceUnavailable, "topics cannot be looked up just now", _SELF),
    "topic.validation.empty": Meaning(
        ChannelStopped, "the channel's name is blank", "name it in the settings"
    ),
    "schema.meta.permission": Meaning(
        ChannelStopped,
        "the user may not see this event schema",
        "give the user View All Records on its entity",
    ),
    "schema.api.unavailable": Meaning(SourceUnavailable, "schemas cannot be looked up just now", _SELF),
    "schema.validation.failed": Meaning(ChannelStopped, "the schema id is blank or invalid", _BUG),
    "subscription.fetch.replayid.corrupted": Meaning(
        PositionLost,
        "the replay position is invalid or older than the org keeps events",
        "a lost stretch is opened, reading resumes at the oldest event kept, and a repair is asked for",
    ),
    # "CUSTOM without id" by the table; a position is always sent along here, so it is the position that is refused.
    "subscription.fetch.replayid.validation.failed": Meaning(
        PositionLost,
        "the replay position is not accepted",
        "a lost stretch is opened, reading resumes at the oldest event kept, and a repair is asked for",
    ),
    "subscription.fetch.replay.repeated": Meaning(
        SourceUnavailable, "the bus stepped back to an earlier position", _SELF
    ),
    "subscription.limit.exceeded": Meaning(
        DeliveryLimitReached,
        "the org's allocation of delivered events for 24 hours is used up",
        "it is tried again in growing pauses; what is not read within 72 hours is lost to the bus",
    ),
    "subscription.fetch.overflow": Meaning(
        SourceUnavailable, "more events were asked for than had been taken", _SELF
    ),
    "subscription.fetch.requested.events.invalid": Meaning(
        ChannelStopped, "the number of events asked for is invalid", _BUG
    ),
    "subscription.fetch.topic.mismatch": Meaning(
        ChannelStopped, "the channel changed inside one stream", _BUG
    ),
    "subscription.fetch.request.invalid": Meaning(ChannelStopped, "the fetch request is invalid", _BUG),
    "subscription.topic.cannot.subscribe": Meaning(
        ChannelStopped,
        "the user may not subscribe to this channel",
        "give the user View All Records on its entities (View All Users for User), or View All Data",
    ),
    "subscription.internal.error": Meaning(
        SourceUnavailable, "the subscription failed inside the event service", _SELF
    ),
    "publish.stream.sweeper.timeout": Meaning(SourceUnavailable, "an idle publish stream was closed", _SELF),
    "publish.auth.refresh.invalid": Meaning(
        ChannelStopped, "the auth refresh field of a publish is invalid", _BUG
    ),
    "publish.event.count.invalid": Meaning(ChannelStopped, "a publish held no events", _BUG),
    "publish.topic.mismatch": Meaning(ChannelStopped, "the channel changed inside one publish stream", _BUG),
    "publish.topic.validation.empty": Meaning(ChannelStopped, "the channel of a publish is blank", _BUG),
    "managed.subscription.already.active": Meaning(
        SourceUnavailable,
        "another client holds this managed subscription",
        "stop the other one; it is tried again by itself",
        THROTTLED_PAUSE_S,
    ),
    "managed.subscription.config.stopped": Meaning(
        ChannelStopped, "the managed subscription is stopped", "set its state to RUN in the org"
    ),
    "managed.subscription.config.deleted": Meaning(
        ChannelStopped,
        "the managed subscription was deleted",
        "make it again, or take it out of the settings",
    ),
    "managed.subscription.developer.name.not.found": Meaning(
        SourceUnavailable, "the org has no managed subscription of this name yet", _SELF, THROTTLED_PAUSE_S
    ),
    "managed.subscription.subscription.id.not.found": Meaning(
        SourceUnavailable, "the org has no managed subscription of this id yet", _SELF, THROTTLED_PAUSE_S
    ),
    "managed.subscription.subscription.id.invalid": Meaning(
        ChannelStopped, "the managed subscription's id is malformed", "give an id of 15 or 18 characters"
    ),
    "managed.subscription.id.or.developer.name.empty": Meaning(
        ChannelStopped, "a managed subscription needs its id or its name, one of them", "give exactly one"
    ),
    "managed.subscription.fetch.request.events.invalid": Meaning(
        ChannelStopped, "the number of events asked for is invalid", _BUG
    ),
    "managed.subscription.fetch.request.invalid": Meaning(
        ChannelStopped, "the managed fetch request is invalid", _BUG
    ),
    "managed.subscription.fetch.request.commit.request.restricted": Meaning(
        ChannelStopped, "the first managed fetch request held a commit", _BUG
    ),
    "managed.subscription.fetch.request.auth.request.restricted": Meaning(
        ChannelStopped, "the managed fetch request held an auth refresh", _BUG
    ),
}
"""By the code's suffix."""

_PERMANENT = frozenset(
    {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)


def translate(status: grpc.StatusCode, details: str, code: str, *, where: str) -> CdcError:
    """The error that a failed call means.

    `code` is the trailer's value or empty, `details` the service's own words, `where` the channel or schema.
    """
    suffix = code.strip().removeprefix(PREFIX)
    said = re.sub(r"\s+", " ", details).strip()[:SAID_CHARS_MAX]
    meaning = MEANINGS.get(suffix) or _by_words(said)
    if meaning is None:
        meaning = _by_status(status, said, suffix)
    return _error(meaning, suffix, said, where)


_WORDS: tuple[tuple[str, str], ...] = (
    ("replay id validation failed", "subscription.fetch.replayid.corrupted"),
    ("replay id is invalid", "subscription.fetch.replayid.corrupted"),
    ("exceeded the event delivery limit", "subscription.limit.exceeded"),
    ("session expired or invalid", "service.auth.error"),
)
"""The service's own words where a proxy on the way has dropped the trailer."""


def _by_words(said: str) -> Meaning | None:
    lower = said.lower().replace("replayid", "replay id")
    return next((MEANINGS[suffix] for words, suffix in _WORDS if words in lower), None)


def _by_status(status: grpc.StatusCode, said: str, suffix: str) -> Meaning:
    unknown = f" with the unknown code {suffix}" if suffix else ""
    if status is grpc.StatusCode.UNAUTHENTICATED:
        return MEANINGS["service.auth.error"]
    if status is grpc.StatusCode.UNIMPLEMENTED:
        return Meaning(ChannelStopped, "this is not the Pub/Sub API", "check pubsub_endpoint")
    if status in _PERMANENT:
        return Meaning(
            ChannelStopped,
            f"the event service refuses ({status.name}){unknown}",
            "check the channel's name and the user's permissions; it looks again by itself",
        )
    if "CERTIFICATE_VERIFY_FAILED" in said or "handshake failed" in said.lower():
        return Meaning(
            SourceUnavailable,
            "the event service's certificate cannot be verified",
            "check pubsub_endpoint and pubsub_tls; a private root goes into ca_file",
        )
    return Meaning(SourceUnavailable, f"the event stream broke ({status.name}){unknown}", _SELF)


def _error(meaning: Meaning, suffix: str, said: str, where: str) -> CdcError:
    what = meaning.what + (f" (it said {said})" if said else "")
    if issubclass(meaning.kind, ChannelStopped | PositionLost):
        return meaning.kind(what, where=where, do=meaning.do, code=suffix)
    if issubclass(meaning.kind, SourceUnavailable | AuthExpired | DeliveryLimitReached):
        # A code nobody knows must not make a metric's label.
        code = suffix if suffix in MEANINGS else ""
        return meaning.kind(what, where=where, do=meaning.do, retry_after_s=meaning.pause_s, code=code)
    return meaning.kind(what, where=where, do=meaning.do)
