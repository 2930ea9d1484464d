"""One login to the org, shared by everything that talks to it.

States of a session: *no token* (before the first use, or after `refresh` of the one held), *fetching* (one
task, all callers wait for it), *token held*, *pausing* (the last attempt failed: until the pause is over, or a
secret's file changes, every caller gets that failure again and nothing is sent).

A token is asked for only from the configured login host, over verified TLS (plain HTTP only to this machine);
redirects are not followed. Reading order: `Session.token`, `refresh`, then how one is fetched.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from cdc.change.ids import to_18
from cdc.errors import AuthExpired, AuthRefused, CdcError, OrgUnavailable, OtherOrg, RetryLater
from cdc.ports.clock import Clock
from cdc.ports.types import Millis
from connectors.salesforce.grants import (
    TOKEN_PATH,
    AuthMethod,
    Credentials,
    Granted,
    granted,
    refusal,
    token_form,
)
from connectors.salesforce.trust import checked_url, tls_context

TOKEN_ANSWER_BYTES_MAX = 256 * 1024
FAILURE_PAUSE_S = 1.0  # doubles up to the next
FAILURE_PAUSE_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How to reach the org: an extra trust root, time limits, and the least time between two logins."""

    ca_file: str | Path = ""
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 120.0  # a page of long rows can take the org a minute
    login_timeout_s: float = 30.0
    login_interval_s: float = 1.0  # reliability.md: no reconnect storm, at most one a second


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and the org it is for; `org_id` has 18 characters. Never shown."""

    access_token: str = field(repr=False)
    instance_url: str
    org_id: str
    user_id: str
    issued_at: Millis


class Session:
    """Gives the current token to any number of callers, and one fresh one when it is refused.

    Errors of `token` and `refresh`: AuthRefused (the credentials have never worked), OrgUnavailable (network, rate
    limit, 5xx, an answer that is not the org's), AuthExpired (a given token that only its owner can renew, or
    credentials that have worked before), SettingsError (a secret is missing).
    """

    def __init__(
        self,
        credentials: Credentials,
        options: SessionOptions | None = None,
        *,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._credentials = credentials
        self._options = options or SessionOptions()
        self._clock = clock or Clock()
        self._jitter = jitter
        self._tls: ssl.SSLContext | None = None
        self._http: aiohttp.ClientSession | None = None
        self._token: Token | None = None
        self._given_version: object = None
        self._fetching: asyncio.Task[Token] | None = None
        self._last_login_s: float | None = None
        self._failure: _Failure | None = None
        self._rotated: tuple[object, str] | None = None
        self._was_let_in = False
        self._org_id = ""

    async def token(self) -> Token:
        """The current token, fetched if there is none yet."""
        if self._credentials.method is AuthMethod.ACCESS_TOKEN:
            return self._given_token()
        return self._token or await self._fetch_for_all()

    async def refresh(self, stale_token: Token) -> Token:
        """A token other than the one that was refused; callers that hold the same stale one share one login."""
        if self._credentials.method is AuthMethod.ACCESS_TOKEN:
            token = self._given_token()
            if token.access_token == stale_token.access_token:
                raise AuthExpired(
                    "the given access token is no longer accepted",
                    where=self._credentials.access_token.where,
                    do="put a fresh token there; it is read again by itself",
                )
            return token
        if self._token is stale_token:
            self._token = None
        return self._token or await self._fetch_for_all()

    @property
    def http(self) -> aiohttp.ClientSession:
        """The connection pool for calls of the org: verified TLS, no proxies, no cookies. Needs a running loop."""
        if self._http is None:
            self._tls = self._tls or tls_context(self._options.ca_file)
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=self._options.request_timeout_s, connect=self._options.connect_timeout_s
                ),
                trust_env=False,
            )
        return self._http

    async def close(self) -> None:
        """Stop a login that is under way and close the connections."""
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _given_token(self) -> Token:
        secret = self._credentials.access_token
        text, version = secret.read(), secret.version()
        if self._token is None or version != self._given_version:
            self._given_version = version
            self._token = Token(
                access_token=text,
                instance_url=checked_url(self._credentials.instance_url, "instance_url"),
                org_id=to_18(self._credentials.org_id),
                user_id="",
                issued_at=self._clock.wall_ms(),
            )
        return self._token

    async def _fetch_for_all(self) -> Token:
        """Start one login or join the one under way. A caller that gives up does not stop it for the others."""
        if self._fetching is None:
            if self._failure is not None and self._failure.holds(self._clock.monotonic_s(), self._versions()):
                raise self._failure.again(self._clock.monotonic_s())
            self._fetching = asyncio.create_task(self._fetch(), name="salesforce-login")
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    def _fetched(self, task: asyncio.Task[Token]) -> None:
        if self._fetching is task:
            self._fetching = None
        if not task.cancelled():
            task.exception()  # taken, so that a failure nobody waits for any more is not reported as lost

    async def _fetch(self) -> Token:
        await self._pace()
        try:
            answer = await self._login()
        except CdcError as error:
            if self._was_let_in and isinstance(error, AuthRefused):
                # Of credentials that have worked: an administrator may undo what caused it, or replace the file.
                error = AuthExpired(
                    error.what, where=error.where, do=f"{error.do}; it is tried again by itself"
                )
            self._failure = _Failure.after(self._failure, error, self._clock.monotonic_s(), self._jitter())
            self._failure.versions = self._versions()
            raise error from None
        if self._org_id and answer.org_id != self._org_id:
            raise OtherOrg(
                f"the login is of the org {answer.org_id} now, and was of {self._org_id} before",
                where=self._credentials.login_url,
                do="check login_url and the credentials; what was recorded of one org is not gone on with from another",
            )
        self._failure = None
        self._was_let_in, self._org_id = True, answer.org_id
        if answer.refresh_token:
            self._rotated = (self._credentials.refresh_token.version(), answer.refresh_token)
        self._token = Token(
            access_token=answer.access_token,
            instance_url=answer.instance_url,
            org_id=answer.org_id,
            user_id=answer.user_id,
            issued_at=answer.issued_at,
        )
        return self._token

    async def _pace(self) -> None:
        now = self._clock.monotonic_s()
        if self._last_login_s is not None:
            wait = self._last_login_s + self._options.login_interval_s - now
            if wait > 0:
                await self._clock.sleep(wait)
        self._last_login_s = self._clock.monotonic_s()

    async def _login(self) -> Granted:
        url = checked_url(self._credentials.login_url, "login_url") + TOKEN_PATH
        now = self._clock.wall_ms()
        form = token_form(self._credentials, now=now, refresh_token=self._rotated_token())
        try:
            async with self.http.post(
                url,
                data=form,
                headers={"Accept": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=self._options.login_timeout_s, connect=self._options.connect_timeout_s
                ),
            ) as response:
                raw = await bounded_body(response, TOKEN_ANSWER_BYTES_MAX, self._credentials.login_url)
                status, headers = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, where=self._credentials.login_url) from None
        body = _json_or_none(raw)
        if status != 200:
            secrets = tuple(v for k, v in form.items() if k not in ("grant_type", "client_id"))
            raise refusal(
                status,
                body,
                where=self._credentials.login_url,
                secrets=secrets,
                retry_after_s=retry_after_s(headers.get("Retry-After")),
            )
        return granted(body, where=self._credentials.login_url, now=now)

    def _rotated_token(self) -> str:
        """A refresh token the org gave in place of the configured one, until that one's file changes.

        It is kept in memory only: after a restart the file counts again, so rotation has to be off in the app
        for a process that restarts.
        """
        if self._rotated is None or self._rotated[0] != self._credentials.refresh_token.version():
            return ""
        return self._rotated[1]

    def _versions(self) -> tuple[object, ...]:
        """What changes when any secret's file does; a file that cannot be read now counts as one such state."""
        return tuple(_version(secret.version) for secret in self._credentials.secrets())


@dataclass(slots=True)
class _Failure:
    """A failed login and until when it stands; the pause doubles with each failure in a row."""

    error: CdcError
    until_s: float
    count: int
    versions: tuple[object, ...] = ()

    @classmethod
    def after(cls, before: _Failure | None, error: CdcError, now_s: float, jitter: float) -> _Failure:
        count = before.count + 1 if before else 1
        pause = min(FAILURE_PAUSE_MAX_S, FAILURE_PAUSE_S * 2 ** min(count - 1, 10)) * (0.5 + jitter / 2)
        asked = error.retry_after_s if isinstance(error, RetryLater) else None
        return cls(error, now_s + max(pause, asked or 0.0), count)

    def holds(self, now_s: float, versions: tuple[object, ...]) -> bool:
        return now_s < self.until_s and versions == self.versions

    def again(self, now_s: float) -> CdcError:
        """The same failure as an error of its own, with what is left of the pause."""
        error = self.error
        if isinstance(error, RetryLater):
            return type(error)(
                error.what, where=error.where, do=error.do, retry_after_s=max(0.0, self.until_s - now_s)
            )
        return type(error)(error.what, where=error.where, do=error.do)


def unreachable(error: BaseException, *, where: str) -> OrgUnavailable:
    """The one place where network errors of aiohttp become ours."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return OrgUnavailable(
            "the server's certificate cannot be verified",
            where=where,
            do="check the address; a private root goes into ca_file",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return OrgUnavailable(
            "the host's name cannot be resolved", where=where, do="check the address and DNS"
        )
    if isinstance(error, TimeoutError):
        return OrgUnavailable("the org did not answer in time", where=where, do="it is tried again by itself")
    return OrgUnavailable(
        f"the org cannot be reached: {type(error).__name__}",
        where=where,
        do="check the network; it is tried again by itself",
    )


async def bounded_body(response: aiohttp.ClientResponse, bytes_max: int, where: str) -> bytes:
    """The whole body. Errors: OrgUnavailable past the limit, counted after decompression."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > bytes_max:
            raise OrgUnavailable(
                f"the org's answer is larger than {bytes_max} bytes", where=where, do="ask for fewer fields"
            )
    return b"".join(chunks)


def retry_after_s(header: str | None) -> float | None:
    """Seconds of a Retry-After header; a date in it is not used."""
    return float(header) if header and header.strip().isdigit() else None


def _json_or_none(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _version(read: Callable[[], object]) -> object:
    try:
        return read()
    except CdcError as error:
        return str(error)
