"""OAuth: tokens by client credentials, JWT bearer or refresh token; identity; revocation (protocol section 4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import unquote

import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from connectors.simulator.errors import OrgError
from connectors.simulator.rows import API_VERSION
from connectors.simulator.wire.answers import WIRE, json_answer, session_of
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.sessions import Session

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_LIFE_MAX_S = 300  # three minutes are documented; a client in wide use says five and is let in
JWT_LATE_S = 5  # an assertion that runs out on the way
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
SCOPE = "api refresh_token"


class Refused(Exception):
    """A token request that is turned down: `error` and `description` of the answer."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        self.error = error
        self.description = description
        self.status = status
        super().__init__(f"{error}: {description}")


def routes() -> list[web.RouteDef]:
    """Where OAuth lives."""
    return [
        web.post("/services/oauth2/token", token),
        web.get("/services/oauth2/userinfo", user_info),
        web.post("/services/oauth2/userinfo", user_info),
        web.post("/services/oauth2/revoke", revoke),
        web.get("/services/oauth2/revoke", revoke),
        web.get("/id/{org_id}/{user_id}", identity),
    ]


async def token(request: web.Request) -> web.Response:
    """Give a token, or say why not."""
    wire = request.app[WIRE]
    if wire.org.faults.take("unavailable") is not None:
        return json_answer({"error": "temporarily_unavailable", "error_description": "try again"}, status=503)
    fault = wire.org.faults.take("login_refused")
    if fault is not None:
        given = fault.parameters
        said = {
            "error": str(given.get("error", "invalid_grant")),
            "error_description": str(given.get("description", "authentication failure")),
        }
        return json_answer(said, status=int(given.get("status", 400)))
    form = {key: str(value) for key, value in (await request.post()).items()}
    form = {**dict(request.query), **form}
    form.update(_basic(request))
    try:
        session = _granted(wire, form)
    except Refused as refused:
        answer = {"error": refused.error, "error_description": refused.description}
        return json_answer(answer, status=refused.status)
    return json_answer(_token_answer(wire, session))


def _granted(wire: Wire, form: dict[str, str]) -> Session:
    match form.get("grant_type", ""):
        case "client_credentials":
            return _by_client_credentials(wire, form)
        case "refresh_token":
            return _by_refresh_token(wire, form)
        case grant if grant == JWT_GRANT:
            return _by_assertion(wire, form.get("assertion", ""))
        case "password":
            raise Refused("invalid_grant", "authentication failure")
        case _:
            raise Refused("unsupported_grant_type", "grant type not supported")


def _by_client_credentials(wire: Wire, form: dict[str, str]) -> Session:
    _check_client(wire, form, secret_needed=True)
    if not wire.app.run_as:
        raise Refused("invalid_grant", "no client credentials user enabled")
    return wire.sessions.open(wire.app.run_as, wire.app.client_id)


def _by_refresh_token(wire: Wire, form: dict[str, str]) -> Session:
    _check_client(wire, form, secret_needed="client_secret" in form)
    session = wire.sessions.refreshed(form.get("refresh_token", ""), wire.app.client_id)
    if session is None:
        raise Refused("invalid_grant", "expired access/refresh token")
    return session


def _check_client(wire: Wire, form: dict[str, str], *, secret_needed: bool) -> None:
    if not form.get("client_id"):
        raise Refused("invalid_request", "must supply a client_id")
    if not hmac.compare_digest(form["client_id"].encode(), wire.app.client_id.encode()):
        raise Refused("invalid_client_id", "client identifier invalid")
    secret = form.get("client_secret", "")
    if secret_needed and not hmac.compare_digest(secret.encode(), wire.app.client_secret.encode()):
        raise Refused("invalid_client", "invalid client credentials")


def _by_assertion(wire: Wire, assertion: str) -> Session:
    try:
        unchecked = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise Refused("invalid_grant", "invalid assertion") from None
    if unchecked.get("iss") != wire.app.client_id:
        raise Refused("invalid_client_id", "client identifier invalid")
    claims = _verified(wire, assertion)
    audience = claims.get("aud")
    given = [str(one).rstrip("/") for one in (audience if isinstance(audience, list) else [audience])]
    if not set(given) & {*AUDIENCES, wire.instance_url}:
        raise Refused("invalid_grant", "Audience validation failed")
    for user in wire.org.users:
        if user["username"] == claims.get("sub"):
            return wire.sessions.open(user["id"], wire.app.client_id)
    raise Refused("invalid_grant", "user hasn't approved this consumer")


def _verified(wire: Wire, assertion: str) -> dict[str, Any]:
    """The claims, if a key registered for the app signed them and they are in time (real time)."""
    for pem in wire.app.jwt_keys:
        try:
            claims: dict[str, Any] = jwt.decode(
                assertion,
                public_key(pem),
                algorithms=["RS256"],
                leeway=JWT_LATE_S,
                options={"verify_aud": False, "require": ["exp", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise Refused("invalid_grant", "expired authorization code") from None
        except jwt.PyJWTError:
            continue
        if claims["exp"] > time.time() + JWT_LIFE_MAX_S + JWT_LATE_S:
            raise Refused("invalid_grant", "invalid assertion: exp is too far ahead")
        return claims
    raise Refused("invalid_grant", "invalid assertion")


def public_key(pem: str) -> RSAPublicKey:
    """The RSA key of a PEM public key or certificate. Raises ValueError for anything else."""
    raw = pem.encode()
    certified = b"BEGIN CERTIFICATE" in raw
    key: object = (
        x509.load_pem_x509_certificate(raw).public_key()
        if certified
        else serialization.load_pem_public_key(raw)
    )
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    return key


def _basic(request: web.Request) -> dict[str, str]:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"client_id": unquote(client_id), "client_secret": unquote(secret)}


def _token_answer(wire: Wire, session: Session) -> dict[str, str]:
    identity_url = f"{wire.instance_url}/id/{wire.org.org_id}/{session.user_id}"
    issued_at = str(wire.org.clock.now_ms())
    signature = hmac.new(wire.app.client_secret.encode(), (identity_url + issued_at).encode(), hashlib.sha256)
    return {
        "access_token": session.access_token,
        "signature": base64.b64encode(signature.digest()).decode(),
        "scope": SCOPE,
        "instance_url": wire.instance_url,
        "id": identity_url,
        "token_type": "Bearer",
        "issued_at": issued_at,
    }


async def user_info(request: web.Request) -> web.Response:
    """Who the token belongs to, as OpenID Connect has it."""
    return json_answer(_about(request.app[WIRE], session_of(request).user_id))


async def identity(request: web.Request) -> web.Response:
    """Who the token belongs to, at the address that came with it."""
    wire = request.app[WIRE]
    session = session_of(request)
    if request.match_info["org_id"] != wire.org.org_id or request.match_info["user_id"] != session.user_id:
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    about = _about(wire, session.user_id)
    return json_answer({**about, "id": f"{wire.instance_url}{request.path}", "asserted_user": True})


def _about(wire: Wire, user_id: str) -> dict[str, Any]:
    user = next((one for one in wire.org.users if one["id"] == user_id), None)
    if user is None:
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    at = wire.instance_url
    return {
        "sub": f"{at}/id/{wire.org.org_id}/{user_id}",
        "user_id": user_id,
        "organization_id": wire.org.org_id,
        "username": user["username"],
        "preferred_username": user["username"],
        "name": user["name"],
        "display_name": user["name"],
        "email": user["username"],
        "user_type": "STANDARD",
        "active": True,
        "urls": {
            "rest": f"{at}/services/data/v{{version}}/",
            "sobjects": f"{at}/services/data/v{{version}}/sobjects/",
            "query": f"{at}/services/data/v{{version}}/query/",
            "custom_domain": at,
        },
        "language": "en_US",
        "zoneinfo": "Europe/London",
        "latest_version": API_VERSION,
    }


async def revoke(request: web.Request) -> web.Response:
    """End a session by its access or refresh token."""
    form = {**dict(request.query), **{k: str(v) for k, v in (await request.post()).items()}}
    if not request.app[WIRE].sessions.revoke(form.get("token", "")):
        return json_answer(
            {"error": "unsupported_token_type", "error_description": "this token is not known"}, status=400
        )
    return web.Response()
