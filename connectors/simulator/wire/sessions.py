"""Who is logged in: the connected app, access tokens and refresh tokens, and what ends them.

A token is good until it lies idle for its lifetime (real time) or is revoked. Revoking tells whoever listens,
so that live streams end at once; running out does not end a stream (Pub/Sub API guide, "Supported
Authentication").
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TOKEN_LIFETIME_S = 7_200.0  # two hours idle, an org's default session timeout
SECRET_BYTES = 24
SESSIONS_MAX = 10_000  # the oldest go first; an org's own limit is far higher


@dataclass(slots=True)
class ConnectedApp:
    """The app that clients log in through. `jwt_keys` are PEM public keys or certificates that may sign for it.

    `run_as` is the user of the client credentials flow; "" refuses that flow, as an app without one does.
    """

    client_id: str
    client_secret: str = field(repr=False)
    run_as: str
    password: str = field(default="", repr=False)  # every user's, for SOAP login; "" refuses that login
    jwt_keys: list[str] = field(default_factory=list)

    @classmethod
    def generated(cls, run_as: str, *, client_id: str = "", client_secret: str = "") -> ConnectedApp:
        """An app whose id and secret are drawn at random where none are given."""
        return cls(
            client_id or f"3MVG9{secrets.token_urlsafe(SECRET_BYTES)}",
            client_secret or secrets.token_hex(SECRET_BYTES).upper(),
            run_as,
            secrets.token_urlsafe(SECRET_BYTES),
        )


@dataclass(slots=True)
class Session:
    """One login. `revoked` never becomes false again."""

    access_token: str = field(repr=False)
    user_id: str
    client_id: str
    ends_at_s: float
    revoked: bool = False


class Sessions:
    """Opens, checks and ends sessions of one org."""

    def __init__(
        self,
        org_id: str,
        *,
        lifetime_s: float = TOKEN_LIFETIME_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lifetime_s = lifetime_s
        self._org_id = org_id
        self._monotonic_s = monotonic_s
        self._by_token: dict[str, Session] = {}
        self._refresh: dict[str, tuple[str, str]] = {}
        self._listeners: list[Callable[[], None]] = []

    def open(self, user_id: str, client_id: str) -> Session:
        """A new session; its token begins with the org id, as clients that read it from there expect."""
        token = f"{self._org_id}!AQ{secrets.token_urlsafe(SECRET_BYTES)}"
        session = Session(token, user_id, client_id, self._monotonic_s() + self.lifetime_s)
        self._by_token[token] = session
        while len(self._by_token) > SESSIONS_MAX:
            del self._by_token[next(iter(self._by_token))]
        return session

    def check(self, access_token: str) -> Session | None:
        """The session of a token that is still good, which use keeps alive; else None."""
        session = self._by_token.get(access_token)
        now_s = self._monotonic_s()
        if session is None or session.revoked or session.ends_at_s <= now_s:
            return None
        session.ends_at_s = now_s + self.lifetime_s
        return session

    def refresh_token(self, user_id: str, client_id: str) -> str:
        """A refresh token for a user who has approved the app."""
        token = f"5Aep{secrets.token_urlsafe(SECRET_BYTES)}"
        self._refresh[token] = (user_id, client_id)
        return token

    def refreshed(self, refresh_token: str, client_id: str) -> Session | None:
        """A new session by refresh token; None for one that is unknown, revoked or another app's."""
        held = self._refresh.get(refresh_token)
        if held is None or held[1] != client_id:
            return None
        return self.open(*held)

    def revoke(self, token: str) -> bool:
        """End the session of an access token, or a refresh token and the sessions of its user and app."""
        held = self._refresh.pop(token, None)
        ended = [
            session
            for session in self._by_token.values()
            if session.access_token == token or (session.user_id, session.client_id) == held
        ]
        self._end(ended)
        return bool(ended) or held is not None

    def revoke_all(self) -> None:
        """End every session; refresh tokens stay good."""
        self._end(list(self._by_token.values()))

    def when_revoked(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call after each revocation; returns how to stop that."""
        self._listeners.append(call)
        return lambda: self._listeners.remove(call)

    def _end(self, sessions: list[Session]) -> None:
        for session in sessions:
            session.revoked = True
            self._by_token.pop(session.access_token, None)
        for call in list(self._listeners):
            call()
