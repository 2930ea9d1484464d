"""The four ways of asking for a token: what is sent, and what an answer or a refusal means.

Pure but for reading secrets; `session` sends the forms and keeps the tokens. Source: OAuth pages of the
Salesforce help (client credentials, JWT bearer, refresh token, flow errors).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt

from cdc.change.ids import to_18
from cdc.errors import AuthRefused, CdcError, OrgUnavailable, SettingsError
from cdc.ports.types import Millis
from connectors.salesforce.secret import Secret
from connectors.salesforce.trust import checked_url

ASSERTION_LIFE_S = 150  # Salesforce takes at most 180; the rest is for clocks that differ
RATE_LIMIT_PAUSE_S = 60.0
SAID_CHARS_MAX = 200

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 - a path


class AuthMethod(StrEnum):
    """How to log in; the values are those of the setting `auth`."""

    CLIENT_CREDENTIALS = "client_credentials"
    JWT = "jwt"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a name
    ACCESS_TOKEN = "access_token"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is needed to log in; which fields depends on `method`. Errors: SettingsError naming what is missing."""

    method: AuthMethod
    login_url: str = ""
    client_id: str = ""
    client_secret: Secret = field(default_factory=lambda: Secret("client_secret"))
    private_key: Secret = field(default_factory=lambda: Secret("private_key"))
    username: str = ""
    audience: str = "https://login.salesforce.com"
    refresh_token: Secret = field(default_factory=lambda: Secret("refresh_token"))
    access_token: Secret = field(default_factory=lambda: Secret("access_token"))
    instance_url: str = ""
    org_id: str = ""

    def __post_init__(self) -> None:
        missing = [key for key in _NEEDED[self.method] if not getattr(self, key)]
        if missing:
            raise SettingsError(
                f"{' and '.join(missing)} needed to log in by {self.method}",
                where="salesforce",
                do="set it, a secret best by its _file key",
            )
        if self.org_id:
            try:
                to_18(self.org_id)
            except ValueError:
                raise SettingsError(
                    "this is no org id", where=f"org_id = {self.org_id}", do="give its 15 or 18 characters"
                ) from None
        key = "instance_url" if self.method is AuthMethod.ACCESS_TOKEN else "login_url"
        checked_url(getattr(self, key), key)

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets this method uses, given ones only."""
        used = (self.client_secret, self.private_key, self.refresh_token, self.access_token)
        return tuple(secret for secret in used if secret)


_NEEDED: Mapping[AuthMethod, tuple[str, ...]] = {
    AuthMethod.CLIENT_CREDENTIALS: ("login_url", "client_id", "client_secret"),
    AuthMethod.JWT: ("login_url", "client_id", "private_key", "username", "audience"),
    AuthMethod.REFRESH_TOKEN: ("login_url", "client_id", "refresh_token"),
    AuthMethod.ACCESS_TOKEN: ("access_token", "instance_url", "org_id"),
}


def token_form(credentials: Credentials, *, now: Millis, refresh_token: str = "") -> dict[str, str]:
    """The form to post for a token; `refresh_token` is one that the org gave in place of the configured one.

    Errors: SettingsError when a secret is missing or the private key is no RSA key.
    """
    match credentials.method:
        case AuthMethod.CLIENT_CREDENTIALS:
            return {
                "grant_type": "client_credentials",
                "client_id": credentials.client_id,
                "client_secret": credentials.client_secret.read(),
            }
        case AuthMethod.JWT:
            return {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": _assertion(credentials, now),
            }
        case AuthMethod.REFRESH_TOKEN:
            form = {
                "grant_type": "refresh_token",
                "client_id": credentials.client_id,
                "refresh_token": refresh_token or credentials.refresh_token.read(),
            }
            if credentials.client_secret:
                form["client_secret"] = credentials.client_secret.read()
            return form
        case AuthMethod.ACCESS_TOKEN:
            raise AssertionError("a given access token is not asked for")


def _assertion(credentials: Credentials, now: Millis) -> str:
    claims = {
        "iss": credentials.client_id,
        "sub": credentials.username,
        "aud": credentials.audience,
        "exp": now // 1000 + ASSERTION_LIFE_S,
    }
    try:
        return jwt.encode(claims, credentials.private_key.read(), algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        raise SettingsError(
            "the private key cannot be used",
            where=credentials.private_key.where,
            do="give an RSA private key as unencrypted PEM",
        ) from None


class Granted(NamedTuple):
    """What a token endpoint gave."""

    access_token: str
    instance_url: str
    org_id: str
    user_id: str
    issued_at: Millis
    refresh_token: str

    def __repr__(self) -> str:
        return f"Granted(org {self.org_id}, user {self.user_id})"


def granted(body: Any, *, where: str, now: Millis) -> Granted:
    """Read a token answer. Errors: OrgUnavailable when it is not one."""
    if not isinstance(body, dict) or not body.get("access_token") or not body.get("instance_url"):
        raise OrgUnavailable(
            "the token endpoint's answer has no token", where=where, do="check that login_url is the org's"
        )
    org_id, user_id = _identity(str(body.get("id", "")))
    if not org_id:
        raise OrgUnavailable(
            "the token endpoint's answer does not name the org", where=where, do="check login_url"
        )
    issued = str(body.get("issued_at", ""))
    return Granted(
        access_token=str(body["access_token"]),
        instance_url=checked_url(str(body["instance_url"]), "instance_url of the answer"),
        org_id=org_id,
        user_id=user_id,
        issued_at=Millis(int(issued)) if issued.isdigit() else now,
        refresh_token=str(body.get("refresh_token") or ""),
    )


def _identity(url: str) -> tuple[str, str]:
    """Org and user id, the last two segments of the identity URL (…/id/00D…/005…)."""
    segments = [part for part in urlsplit(url).path.split("/") if part]
    if len(segments) < 2:
        return "", ""
    try:
        return to_18(segments[-2]), to_18(segments[-1])
    except ValueError:
        return "", ""


class _Refusal(NamedTuple):
    error: str
    said: str  # words of the description that tell causes apart, lower case; "" for any
    what: str
    do: str


_REFUSALS = (
    _Refusal(
        "invalid_client_id", "", "the org does not know this client id", "check client_id and login_url"
    ),
    _Refusal(
        "invalid_client", "", "the org refuses this client id and secret", "check client_id and its secret"
    ),
    _Refusal(
        "invalid_grant",
        "no client credentials user",
        "the app has no user to run as",
        "choose a Run As user in the app's client credentials settings",
    ),
    _Refusal(
        "invalid_grant",
        "hasn't approved",
        "the user has not approved this app",
        "pre-authorise the app for the user's profile or a permission set",
    ),
    _Refusal(
        "invalid_grant",
        "audience",
        "the org does not accept the audience",
        "set audience to https://login.salesforce.com, https://test.salesforce.com or the site's address",
    ),
    _Refusal(
        "invalid_grant",
        "not supported on this domain",
        "this way of logging in needs the org's own domain",
        "set login_url to the org's My Domain",
    ),
    _Refusal(
        "invalid_grant",
        "refresh token",
        "the refresh token has expired or was revoked",
        "authorise the app again and replace the refresh token",
    ),
    _Refusal(
        "invalid_grant",
        "ip restricted",
        "this machine's address may not log in",
        "relax the app's IP restrictions or add this machine's address",
    ),
    _Refusal(
        "invalid_grant",
        "expired",
        "the assertion had expired when it arrived",
        "set this machine's clock right",
    ),
    _Refusal(
        "invalid_grant",
        "assertion",
        "the org does not accept the assertion",
        "check client_id, username, the app's certificate and this machine's clock",
    ),
    _Refusal(
        "invalid_grant", "", "the org refuses these credentials", "check the user, the app and its policies"
    ),
    _Refusal(
        "invalid_app_access",
        "",
        "the user may not use this app",
        "give the user's profile or permission set access to the app",
    ),
    _Refusal("inactive_user", "", "the user is inactive", "activate the user or name another"),
    _Refusal("inactive_org", "", "the org is locked, closed or suspended", "check the org with Salesforce"),
    _Refusal(
        "unsupported_grant_type",
        "",
        "the app does not allow this way of logging in",
        "enable the flow in the app, or choose another auth",
    ),
    _Refusal("unauthorized_client", "", "the app may not log in this way", "enable the flow in the app"),
    _Refusal(
        "invalid_request", "", "the org calls the token request malformed", "check the salesforce settings"
    ),
)
_TRANSIENT = frozenset({"server_error", "temporarily_unavailable", "unknown_error"})


def refusal(
    status: int, body: Any, *, where: str, secrets: tuple[str, ...], retry_after_s: float | None
) -> CdcError:
    """The error that an answer other than 200 means: AuthRefused, or OrgUnavailable when it may pass.

    The org's own words are added with every secret struck out.
    """
    error = str(body.get("error", "")) if isinstance(body, dict) else ""
    description = str(body.get("error_description", "")) if isinstance(body, dict) else ""
    said = struck(f"{error}: {description}" if description else error, secrets)
    tail = f" (it said {said})" if said else ""
    if error == "rate_limit_exceeded" or status == 429:
        return OrgUnavailable(
            f"too many logins{tail}",
            where=where,
            do="it is tried again by itself",
            retry_after_s=retry_after_s or RATE_LIMIT_PAUSE_S,
        )
    if status >= 500 or error in _TRANSIENT:
        return OrgUnavailable(
            f"the token endpoint failed with HTTP {status}{tail}",
            where=where,
            do="it is tried again by itself",
            retry_after_s=retry_after_s,
        )
    if 300 <= status < 400:
        return AuthRefused(
            f"the login host sends us elsewhere (HTTP {status}), which is not followed",
            where=where,
            do="set login_url to the org's My Domain",
        )
    if not isinstance(body, dict) and status not in (401, 404):
        return OrgUnavailable(
            f"something else than the org's token endpoint answered, HTTP {status} and no JSON",
            where=where,
            do="look for a proxy or a maintenance page, and check login_url; it is tried again by itself",
            retry_after_s=retry_after_s,
        )
    for known in _REFUSALS:
        if error == known.error and known.said in description.lower():
            return AuthRefused(known.what + tail, where=where, do=known.do)
    return AuthRefused(
        f"the token endpoint refuses with HTTP {status}{tail}",
        where=where,
        do="check login_url and the app's settings",
    )


def struck(text: str, secrets: tuple[str, ...]) -> str:
    """Text of the other side, one short line, with every secret struck out."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return re.sub(r"\s+", " ", text).strip()[:SAID_CHARS_MAX]
