"""What every part of the wire shares: the org, the app and its sessions, the times, the faults of every call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from connectors.simulator.errors import BusError, OrgError
from connectors.simulator.model import Delivered
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.wire.sessions import TOKEN_LIFETIME_S, ConnectedApp, Session, Sessions


@dataclass(frozen=True, slots=True)
class WireOptions:
    """Times of the wire, all in real seconds; the defaults are those of the service."""

    keepalive_s: float = 60.0  # field reports; the documented limit is 270
    idle_close_s: float = 60.0  # a stream without credit
    publish_idle_s: float = 70.0  # a publish stream without a request
    locator_idle_s: float = 900.0  # how long the next page of a query may be waited for
    token_lifetime_s: float = TOKEN_LIFETIME_S
    cometd_hold_s: float = 110.0  # how long /meta/connect waits for an event
    cometd_away_s: float = 40.0  # a client that does not connect again for so long is unknown
    cometd_clients_max: int = 2_000
    metadata_s: float = 0.2  # until a retrieve or deploy has ended
    bulk_page_rows: int = 10_000  # of a page of a bulk result, where the caller says nothing


@dataclass(slots=True)
class Wire:
    """One simulated org as its servers see it. The addresses are known once the servers listen."""

    org: SimulatedOrg
    app: ConnectedApp
    options: WireOptions
    instance_url: str = ""
    pubsub_address: str = ""
    streams_open: int = 0
    job_numbers: Iterator[int] = field(default_factory=lambda: count(1))  # over both kinds of bulk job
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.org.org_id, lifetime_s=self.options.token_lifetime_s)

    def session(self, access_token: str, path: str = "") -> Session | None:
        """The session of a token that is still good, else None. `path` is that of a call over HTTP."""
        self.apply_revocation()
        if path and self.org.faults.take_call("session_expired", path=path) is not None:
            self.sessions.revoke(access_token)
        return self.sessions.check(access_token)

    def apply_revocation(self) -> None:
        """Acts out the fault that revokes every token given so far."""
        fault = self.org.faults.take("token_revoked")
        if fault is not None:
            self.sessions.revoke_all()
            if fault.left is None:
                self.org.faults.clear("token_revoked")

    def slowness_s(self, path: str = "") -> float:
        """How long an answer waits under the fault `slow`. `path` is that of a call over HTTP."""
        fault = self.org.faults.take_call("slow", path=path)
        return float(fault.parameters.get("ms", 1000)) / 1000 if fault is not None else 0.0

    def check_stream_service(self) -> None:
        """Raises the BusError that the event service as a whole is under, if any."""
        if self.org.faults.take("unavailable") is not None:
            raise BusError("service.unavailable", "The service is temporarily unavailable.")

    def check_delivery(self) -> None:
        """Raises the BusError of an org whose 24-hour delivery allocation is used up."""
        if self.delivery_left <= 0 or self.org.faults.take("delivery_limit") is not None:
            raise BusError(
                "subscription.limit.exceeded", "You have exceeded the event delivery limit for your org."
            )

    def count_delivered(self, events: Sequence[Delivered]) -> None:
        """Counts delivered events; real-time monitoring events count towards no allocation."""
        known = self.org.platform_events
        free = sum(1 for e in events if (found := known.get(e.entity)) is not None and found.monitoring)
        self.org.usage.count_delivered(len(events) - free)

    @property
    def delivery_left(self) -> int:
        """Events that may still be delivered in these 24 hours."""
        return self.org.knobs.delivered_max - self.org.usage.delivered

    def count_call(self, path: str) -> None:
        """Counts one REST or SOAP call; raises REQUEST_LIMIT_EXCEEDED beyond the day's allowance."""
        fault = self.org.faults.take_call("rate_limit", path=path)
        if fault is not None:
            given = fault.parameters
            which = (
                "ConcurrentRequests (Concurrent API Requests)" if given.get("concurrent") else "TotalRequests"
            )
            pause = {"Retry-After": str(given["retry_after"])} if "retry_after" in given else {}
            raise OrgError(
                "REQUEST_LIMIT_EXCEEDED",
                f"{which} Limit exceeded.",
                status=int(given.get("status", 403)),
                headers=pause,
            )
        if self.org.limits()["DailyApiRequests"]["Remaining"] <= 0:
            raise OrgError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403)
        self.org.usage.count_call()
