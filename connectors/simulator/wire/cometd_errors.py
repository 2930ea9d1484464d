"""What the Streaming API refuses, by name, in its own words (protocol section 3; "Streaming API Error Codes").

An error of a message is `<code>::<text>` in its reply; a few are told in `ext.sfdc.failureReason` of a denied
handshake instead. The advice says what a client is expected to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HANDSHAKE_DENIED = "403::Handshake denied"
ANEW: Mapping[str, Any] = {"reconnect": "handshake", "interval": 0}
NEVER: Mapping[str, Any] = {"reconnect": "none", "interval": 0}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One documented error. `ends` says whether the client's session is over with it; `status` is that of HTTP."""

    text: str
    advice: Mapping[str, Any] | None = None
    ends: bool = False
    status: int = 200


REFUSALS: Mapping[str, Refusal] = {
    "replay_invalid": Refusal(
        "400::The replayId {{{about}}} you provided was invalid.  Please provide a valid ID, -2 to replay all "
        "events, or -1 to replay only new events."
    ),
    "channel_unknown": Refusal("400::The channel {about} you requested to subscribe to does not exist"),
    "channel_missing": Refusal("400::Channel name not specified"),
    "channel_slash": Refusal("400::The channel name {about} must begin with a slash"),
    "version_missing": Refusal("400::API version in the URI is mandatory. URI format: '/cometd/43.0'", NEVER),
    "version_unsupported": Refusal("400::The API version {about} in the URI is not supported", NEVER),
    "cookie_missing": Refusal("400::No cookie present in the request", ANEW),
    "user_mismatch": Refusal("400::The authenticated user id does not match the session's user id", ANEW),
    "malformed": Refusal("400::The request is not an array of messages"),
    "authentication_invalid": Refusal("401::Authentication invalid", NEVER, ends=True),
    "authentication_required": Refusal("401::Request requires authentication", NEVER, status=401),
    "unknown_client": Refusal("403::Unknown client", ANEW, ends=True),
    "clients_limit": Refusal("403::Organization concurrent user limit exceeded", NEVER),
    "daily_limit": Refusal("403::Organization total events daily limit exceeded", NEVER, ends=True),
    "channel_create": Refusal("403::Cannot create channel {about}"),
    "channel_restricted": Refusal("403::Restricted channel {about}"),
    "cdc_permission": Refusal(
        "403::User not allowed to subscribe CDC without View All Data permissions", None
    ),
    "subscription_limit": Refusal("403::Subscription limit exceeded for this topic"),
    "handshake_first": Refusal("403::Client has not completed handshake", ANEW),
    "simultaneous": Refusal(
        "403::Unable to create a dynamic channel: too many simultaneous connections", NEVER
    ),
    "request_size": Refusal("413::Maximum Request Size Exceeded", status=413),
    "server_busy": Refusal("503::Server is too busy. Please try your request again later.", ANEW),
}
"""By name; the fault `cometd_error` takes any of them."""


class BayeuxError(Exception):
    """A message is refused with one of the errors above; `about` is what it names."""

    def __init__(self, name: str, about: str = "") -> None:
        self.name = name
        self.refusal = REFUSALS[name]
        self.text = self.refusal.text.format(about=about)
        super().__init__(self.text)


def refused(message: Mapping[str, Any], error: BayeuxError) -> dict[str, Any]:
    """The reply to a message that is refused."""
    channel = str(message.get("channel") or "")
    reply: dict[str, Any] = {"channel": channel, "successful": False, "error": error.text}
    for key in ("clientId", "id", "subscription"):
        if message.get(key) is not None:
            reply[key] = message[key]
    if error.refusal.advice is not None:
        reply["advice"] = dict(error.refusal.advice)
    if channel == "/meta/handshake" and not error.text.startswith("400"):
        reply["error"] = HANDSHAKE_DENIED
        reply["ext"] = {"replay": True, "sfdc": {"failureReason": error.text}}
        reply.pop("clientId", None)
    return reply
