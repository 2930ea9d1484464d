"""What the Streaming API's errors mean: `<code>::<text>`, told apart by code and words.

Source: "Streaming API Error Codes". `translate` is the one place where errors of that service become ours; a
denied handshake tells its reason in `ext.sfdc.failureReason`, which then decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cdc.errors import (
    AuthExpired,
    CdcError,
    ChannelStopped,
    DeliveryLimitReached,
    PositionLost,
    SourceUnavailable,
)

THROTTLED_PAUSE_S = 30.0  # the service asks to slow down and does not say for how long
SAID_CHARS_MAX = 300

_SELF = "it resumes by itself from the stored position"
_SESSION = frozenset({"/meta/handshake", "/meta/connect"})


class Meaning(NamedTuple):
    """Code, words that have to be in the text (lower case), and what the error is to us."""

    code: str
    words: str
    kind: type[CdcError]
    what: str
    do: str
    pause_s: float | None = None


MEANINGS: tuple[Meaning, ...] = (
    Meaning(
        "400", "replayid", PositionLost,
        "the replay position is invalid or older than the org keeps events",
        "a lost stretch is opened, reading resumes at the oldest event kept, and a repair is asked for",
    ),
    Meaning(
        "400", "api version", ChannelStopped,
        "the Streaming API does not speak this version", "correct salesforce.api_version",
    ),
    Meaning("400", "cookie", SourceUnavailable, "the session's cookie was not taken", _SELF),
    Meaning("400", "user id", SourceUnavailable, "the session belongs to another user", _SELF),
    Meaning(
        "400", "channel", ChannelStopped, "the org has no such channel",
        "check its name (capitals count) and that the entity is selected for Change Data Capture",
    ),
    Meaning("401", "", AuthExpired, "the Streaming API does not accept the session", "a fresh token is fetched"),
    Meaning("403", "unknown client", SourceUnavailable, "the Streaming API has dropped the session", _SELF),
    Meaning("403", "completed handshake", SourceUnavailable, "the Streaming API wants a handshake first", _SELF),
    Meaning(
        "403", "concurrent user limit", SourceUnavailable,
        "too many clients are connected to the org's Streaming API",
        "stop other subscribers; it is tried again by itself", THROTTLED_PAUSE_S,
    ),
    Meaning(
        "403", "simultaneous", SourceUnavailable, "the Streaming API refuses so many connections at once",
        "stop other subscribers; it is tried again by itself", THROTTLED_PAUSE_S,
    ),
    Meaning(
        "403", "daily limit", DeliveryLimitReached,
        "the org's allocation of delivered events for 24 hours is used up",
        "it is tried again in growing pauses; what is not read within 72 hours is lost to the bus",
    ),
    Meaning(
        "403", "subscription limit", SourceUnavailable, "too many clients listen to this channel",
        "stop other subscribers; it is tried again by itself", THROTTLED_PAUSE_S,
    ),
    Meaning(
        "403", "view all data", ChannelStopped, "the user may not subscribe to this channel",
        "give the user View All Records on its entities (View All Users for User), or View All Data",
    ),
    Meaning("403", "create channel", ChannelStopped, "the user may not use this channel", "check its name"),
    Meaning("403", "restricted channel", ChannelStopped, "the channel is not for subscribers", "check its name"),
    Meaning(
        "413", "", ChannelStopped, "the request is larger than the Streaming API takes",
        "this is a fault of this program: report it with this sentence",
    ),
    Meaning("503", "", SourceUnavailable, "the Streaming API is too busy", _SELF, THROTTLED_PAUSE_S),
)  # fmt: skip
"""The first that fits counts."""


def translate(reply: Mapping[str, Any], where: str) -> CdcError:
    """The error that a refused message means; `where` is the channel that was asked for."""
    error = str(reply.get("error") or "")
    reason = _reason(reply)
    said = reason if error.startswith("403::Handshake denied") and reason else error or reason
    code, words = said[:3], said.lower()
    for meaning in MEANINGS:
        if code == meaning.code and meaning.words in words:
            return _made(meaning, said, where)
    return _made(_unknown(code, str(reply.get("channel", ""))), said, where)


def is_about_the_session(reply: Mapping[str, Any]) -> bool:
    """Whether an error says that the token is no longer good, so that a fresh one may help."""
    return str(reply.get("error") or "").startswith("401") or _reason(reply).startswith("401")


def _reason(reply: Mapping[str, Any]) -> str:
    ext = reply.get("ext")
    sfdc = ext.get("sfdc") if isinstance(ext, dict) else None
    return str(sfdc.get("failureReason") or "") if isinstance(sfdc, dict) else ""


def _unknown(code: str, channel: str) -> Meaning:
    """An error nobody has told us of: permanent only where it refuses one channel."""
    if channel == "/meta/subscribe" and code in ("400", "403", "404"):
        return Meaning(
            code, "", ChannelStopped, "the Streaming API refuses this channel",
            "check its name and the user's permissions",
        )  # fmt: skip
    what = "refuses the session" if channel in _SESSION else "answered with an error"
    return Meaning(code, "", SourceUnavailable, f"the Streaming API {what}", _SELF)


def _made(meaning: Meaning, said: str, where: str) -> CdcError:
    text = re.sub(r"\s+", " ", said).strip()[:SAID_CHARS_MAX]
    what = meaning.what + (f" (it said {text})" if text else "")
    if issubclass(meaning.kind, ChannelStopped | PositionLost):
        return meaning.kind(what, where=where, do=meaning.do, code=text[:3])
    if issubclass(meaning.kind, SourceUnavailable | AuthExpired | DeliveryLimitReached):
        return meaning.kind(what, where=where, do=meaning.do, retry_after_s=meaning.pause_s)
    return meaning.kind(what, where=where, do=meaning.do)
