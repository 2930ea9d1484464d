"""One call of the org's REST API: session, time, counting, and what its errors mean.

A ladder: `call` repeats once with a fresh token, `_send` makes one request, `error_of` reads a refusal.
The org's time on every answer is its `Date` header: whole seconds, taken when the answer was sent, and so
after everything in it was read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from cdc.errors import (
    AuthExpired,
    AuthRefused,
    BadArgument,
    CdcError,
    CursorExpired,
    NotFound,
    OrgUnavailable,
)
from cdc.ports.clock import Clock
from cdc.ports.types import Millis
from connectors.salesforce.budget import ApiUsage, CallBudget, api_usage
from connectors.salesforce.session import Session, Token, bounded_body, retry_after_s, unreachable

ANSWER_BYTES_MAX = (
    256 * 1024 * 1024
)  # 2,000 rows of at most 131,072 characters a field would be cut by the org
SAID_CHARS_MAX = 400
REQUEST_LIMIT_PAUSE_S = 900.0  # the org's rolling day moves slowly
CONCURRENT_PAUSE_S = 20.0  # requests count as long-running after 20 s

_REFUSED = frozenset(
    {
        "API_DISABLED_FOR_ORG",
        "API_CURRENTLY_DISABLED",
        "INVALID_LOGIN",
        "ORG_LOCKED",
        "INACTIVE_OWNER_OR_USER",
    }
)
_PASSING = frozenset(
    {"SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION", "OPERATION_TOO_LARGE"}
)
_ABSENT = frozenset({"NOT_FOUND", "INVALID_TYPE", "ENTITY_IS_DELETED"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the org said: status, parsed JSON, and its time."""

    status: int
    body: Any
    org_time: Millis
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer before anything of it is read: CSV, XML, or JSON that is still bytes."""

    status: int
    content: bytes
    content_type: str
    headers: Mapping[str, str]
    org_time: Millis

    def json(self, where: str) -> Answer:
        """As JSON. Errors: OrgUnavailable for a good answer that is none; a bad one has body None."""
        try:
            body = json.loads(self.content) if self.content else None
        except ValueError:
            if self.status < 300:
                raise OrgUnavailable(
                    "the org's answer is not JSON", where=where, do="look for a proxy"
                ) from None
            body = None
        return Answer(self.status, body, self.org_time, retry_after_s(self.headers.get("Retry-After")))


Content = Callable[[Token], bytes]
"""Makes the body of a request for a token: SOAP carries the session in it."""


class Rest:
    """Calls of one org. Errors: those of the port `Org`.

    `api_calls` counts every request sent; `api_usage` is what the org last said of all its clients. `on_call` is
    told of each request, for a metric. `base` is `/services/data/v66.0`.
    """

    def __init__(
        self,
        session: Session,
        *,
        client_name: str,
        budget: CallBudget,
        api_version: str = "66.0",
        on_call: Callable[[], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.api_version = api_version
        self.base = f"/services/data/v{api_version}"
        self.client_name = client_name
        self.clock = clock or Clock()
        self._session = session
        self._headers = {"Accept": "application/json", "Sforce-Call-Options": f"client={client_name}"}
        self._budget = budget
        self._on_call = on_call
        self.api_calls = 0
        self.api_usage: ApiUsage | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        headers: Mapping[str, str] | None = None,
        where: str,
    ) -> Answer:
        """A call that has to succeed, of a path with its encoded query; a session refused is renewed once and the call repeated."""
        answer = await self.attempt(method, path, json_body=json_body, headers=headers, where=where)
        if answer.status >= 300:
            raise error_of(answer, where)
        return answer

    async def attempt(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        headers: Mapping[str, str] | None = None,
        where: str,
    ) -> Answer:
        """As `call`, but a refusal is an answer to look at, not an error."""
        content: bytes | None = None
        if json_body is not None:
            content = json.dumps(json_body).encode()
            headers = {"Content-Type": "application/json", **(headers or {})}
        raw = await self.exchange(method, path, content=content, headers=headers, where=where)
        return raw.json(where)

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        content: bytes | Content | None = None,
        headers: Mapping[str, str] | None = None,
        refused: Callable[[Raw], bool] = lambda raw: raw.status == 401,
        where: str,
    ) -> Raw:
        """One call, any content either way. `refused` says whether an answer is a refusal of the session."""
        token = await self._session.token()
        for last in (False, True):
            made = content(token) if callable(content) else content
            raw = await self._send(token, method, path, made, headers or {}, where)
            if last or not refused(raw):
                return raw
            token = await self._session.refresh(token)
        raise AssertionError("the loop returns")

    async def _send(
        self,
        token: Token,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        where: str,
    ) -> Raw:
        self._budget.spend(where)
        self.api_calls += 1
        if self._on_call is not None:
            self._on_call()
        try:
            async with self._session.http.request(
                method,
                URL(token.instance_url + path, encoded=True),
                data=content,
                headers={**self._headers, "Authorization": f"Bearer {token.access_token}", **headers},
                allow_redirects=False,
            ) as response:
                body = await bounded_body(response, ANSWER_BYTES_MAX, where)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, where=f"{where}, {token.instance_url}") from None
        usage = api_usage(response.headers.get("Sforce-Limit-Info"))
        if usage is not None:
            self.api_usage = usage
            self._budget.learn(usage)
        return Raw(
            response.status,
            body,
            response.content_type,
            response.headers,
            _org_time(response.headers.get("Date"), where),
        )


def _org_time(header: str | None, where: str) -> Millis:
    try:
        return Millis(int(parsedate_to_datetime(header or "").timestamp() * 1000))
    except ValueError:
        raise OrgUnavailable(
            "the org's answer does not carry its time (no Date header)",
            where=where,
            do="look for a proxy that strips headers",
        ) from None


def error_of(answer: Answer, where: str) -> CdcError:
    """What a refusal means. The body is a list of {errorCode, message}; the org's words are handed on."""
    code, message = _said(answer.body)
    said = f"{code}: {message}" if code else f"HTTP {answer.status}"
    if answer.status == 401:
        return AuthExpired("the org does not accept the session", where=where, do="a fresh token is fetched")
    if code == "REQUEST_LIMIT_EXCEEDED" or answer.status in (420, 429):
        pause = CONCURRENT_PAUSE_S if "concurrent" in message.lower() else REQUEST_LIMIT_PAUSE_S
        return OrgUnavailable(
            f"the org's allowance of API calls is used up ({said})",
            where=where,
            do="it is tried again by itself",
            retry_after_s=answer.retry_after_s or pause,
        )
    if code == "LIMIT_EXCEEDED":
        return OrgUnavailable(
            f"one of the org's allowances is used up ({said})",
            where=where,
            do="it is tried again by itself",
            retry_after_s=answer.retry_after_s or REQUEST_LIMIT_PAUSE_S,
        )
    if code in ("INVALID_QUERY_LOCATOR", "INVALIDLOCATOR", "INVALID_LOCATOR"):
        return CursorExpired(
            f"the query's cursor is gone ({said})", where=where, do="begin the query again without it"
        )
    if answer.status >= 500 or code in _PASSING:
        return OrgUnavailable(
            f"the org failed ({said})",
            where=where,
            do="it is tried again by itself",
            retry_after_s=answer.retry_after_s,
        )
    if 300 <= answer.status < 400:
        return OrgUnavailable(
            f"the org sends us elsewhere (HTTP {answer.status}), which is not followed",
            where=where,
            do="check instance_url and login_url",
        )
    if code in _REFUSED:
        return AuthRefused(
            f"the org refuses API access ({said})", where=where, do="enable the API for the org and the user"
        )
    if code in _ABSENT or (answer.status == 404 and not code):
        return NotFound(
            f"the org does not know it, or this user may not see it ({said})",
            where=where,
            do="check the name and the user's permissions",
        )
    if answer.status == 403:
        return BadArgument(
            f"this user may not do that ({said})", where=where, do="give the user the permission it names"
        )
    return BadArgument(f"the org refuses the request ({said})", where=where, do="correct what it names")


def _said(body: Any) -> tuple[str, str]:
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", ""
    message = re.sub(r"\s+", " ", str(first.get("message", ""))).strip()
    return str(first.get("errorCode", "")), message[:SAID_CHARS_MAX]
