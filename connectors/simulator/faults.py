"""Faults that can be set and cleared while the org runs. The wire acts them out; two act in the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KNOWN_FAULTS: Mapping[str, str] = {
    "stream_reset": "streams end as by RST_STREAM; after=N events of a stream",
    "token_revoked": "tokens given so far are no longer good",
    "slow": "answers wait; ms=N, path",
    "unavailable": "HTTP 503 and gRPC service.unavailable; retry_after=S",
    "replay_expired": "every stored replay position is outside the retention",
    "delivery_limit": "the 24 h delivery allocation is used up",
    "schema_unknown": "GetSchema does not know the id; schema_id=ID, else any",
    "payload_cut": "event bodies are cut short in delivery; entity=E, keep=BYTES",
    "no_permission": "the reading user may not see an entity; entity=E",
    "query_error": "queries answer with an error; code=C, entity=E",
    "locator_expired": "the next page of a query, or of a bulk result, is refused: its locator is gone",
    "csv_truncated": "results of a bulk job are cut short; keep=SHARE",
    "job_failed": "bulk jobs fail; after=ROWS, error=TEXT, operation=query|insert|…",
    "job_gone": "bulk jobs are not found any more",
    "row_locked": "records cannot be locked for writing; entity=E, record_id=ID, share=S",
    "row_error": "records are refused; code=C, message=M, entity=E, record_id=ID, share=S",
    "rate_limit": "calls are refused with REQUEST_LIMIT_EXCEEDED; concurrent=1 for the other limit, status=N, retry_after=S, path, after",
    "session_expired": "the session of a REST or SOAP call ends with it; path, after",
    "black_hole": "calls are taken and never answered; ms=N until the connection breaks, path, method, after",
    "html": "a page of HTML is answered; status=N, path, method, after",
    "request_lost": "the connection breaks before a call is taken; path, method, after",
    "answer_lost": "a call does its work, and the connection breaks before the answer; path, method, after",
    "answer_cut": "the connection breaks in the middle of an answer; keep=SHARE, path, method, after",
    "login_refused": "no token is given; error=CODE, description=TEXT, status=N",
    "keepalive_only": "streams deliver empty responses only",
    "stream_error": "streams are refused, or end with an error; code=C, message=M, after=N events of a stream",
    "stream_ended": "streams end without an error; after=N events of a stream",
    "stream_silent": "streams stay open and say nothing any more, neither event nor keepalive",
    "stream_drip": "streams give one event a response; ms=N between two",
    "credit_lost": "requests for more events are not counted, but for the first of a stream",
    "blank_position": "responses of streams carry no latest_replay_id",
    "short_replay": "replay ids are the eight bytes of the counter alone",
    "replay_unordered": "replay ids of neighbours in a response are exchanged",
    "delivered_twice": "each event comes twice in its response",
    "call_error": "a call beside the streams is refused; call=GetTopic|GetSchema, code=C",
    "schema_padded": "GetSchema gives long schemas with logical types nobody knows; bytes=N",
    "no_trailer": "errors of the Pub/Sub API come without their error-code trailer",
    "odd_status": "errors of the Pub/Sub API come with another gRPC status; status=NAME",
    "cometd_error": "CometD refuses; error=NAME of wire/cometd_errors.py, on=handshake|connect|subscribe",
    "cometd_html": "CometD answers with a page of HTML; status=N, on=handshake|connect|subscribe",
    "cometd_silent": "CometD answers every connect, and delivers nothing; channel=C",
    "cometd_slow_connect": "the answer to /meta/connect comes late; ms=N",
    "cometd_cut": "the connection breaks while the answer to /meta/connect is sent, its events are gone",
    "credit_withheld": "the service answers with fewer events than it was given credit for; max=N",
}
"""What can be set, and its parameters. Every fault also takes times=N: it clears itself after acting N times.
`path` is a part of the call's path, `method` its HTTP method, `after` how many such calls pass before it acts."""


@dataclass(slots=True)
class Fault:
    """One fault that is on. `left` counts how often it will still act; None: until cleared."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    left: int | None = None
    passed: int = 0  # calls it let through


class Faults:
    """The faults that are on, by name; a name may be set several times with other parameters."""

    def __init__(self) -> None:
        self._on: list[Fault] = []

    def set(self, name: str, *, times: int | None = None, **parameters: Any) -> Fault:
        """Turn a fault on. Raises ValueError for a name that is not known."""
        if name not in KNOWN_FAULTS:
            raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(KNOWN_FAULTS))}")
        fault = Fault(name, parameters, times)
        self._on.append(fault)
        return fault

    def clear(self, name: str | None = None) -> None:
        """Turn a fault off; without a name, all of them."""
        self._on = [fault for fault in self._on if name is not None and fault.name != name]

    def active(self, name: str, **about: Any) -> Fault | None:
        """The fault of that name that is on and concerns `about` (a parameter it lacks concerns all)."""
        for fault in self._on:
            if fault.name == name and all(fault.parameters.get(k, v) == v for k, v in about.items()):
                return fault
        return None

    def take(self, name: str, **about: Any) -> Fault | None:
        """As `active`, and counts that it acts now."""
        fault = self.active(name, **about)
        return self._acts(fault) if fault is not None else None

    def take_call(self, name: str, *, path: str, method: str = "") -> Fault | None:
        """As `take`, for a fault of calls: narrowed by path and method, let through for the first `after`."""
        for fault in self._on:
            given = fault.parameters
            if fault.name != name or str(given.get("path", "")) not in path:
                continue
            if method and str(given.get("method", method)).upper() != method:
                continue
            if fault.passed < int(given.get("after", 0)):
                fault.passed += 1
                continue
            return self._acts(fault)
        return None

    def _acts(self, fault: Fault) -> Fault:
        if fault.left is not None:
            fault.left -= 1
            if fault.left <= 0:
                self._on.remove(fault)
        return fault

    def listed(self) -> list[Fault]:
        """Every fault that is on."""
        return list(self._on)
