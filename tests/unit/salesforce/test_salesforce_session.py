"""Logging in: the four ways, one login for all who wait, pauses after failure, secrets that stay secret."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from aiohttp import web

from cdc.errors import AuthExpired, AuthRefused, CdcError, OrgUnavailable, OtherOrg, SettingsError
from cdc.ports.clock import Clock
from cdc.ports.types import Millis
from connectors.salesforce.grants import TOKEN_PATH, AuthMethod, Credentials
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions
from tests.unit.salesforce.certificates import rsa_key, self_signed
from tests.unit.salesforce.wire import ORG_ID, USER_ID, Org, answer, running, said, token_body, written

NOW = Millis(1_795_428_120_000)


class Time:
    """Time that moves when told; a sleep moves it."""

    def __init__(self) -> None:
        self.s = 1000.0

    async def sleep(self, seconds: float) -> None:
        self.s += seconds
        await asyncio.sleep(0)

    def clock(self) -> Clock:
        return Clock(wall_ms=lambda: NOW, monotonic_s=lambda: self.s, sleep=self.sleep)


def client_credentials(org: Org, folder: Path, secret: str = "s3cr3t-value") -> Credentials:
    file = written(folder, "secret", secret + "\n")
    return Credentials(
        AuthMethod.CLIENT_CREDENTIALS,
        login_url=org.url,
        client_id="client-id",
        client_secret=Secret("client_secret", file=file),
    )


def session(credentials: Credentials, time: Time | None = None, **options: Any) -> Session:
    return Session(credentials, SessionOptions(**options), clock=(time or Time()).clock(), jitter=lambda: 1.0)


def form_of(org: Org, index: int = -1) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(org.seen(TOKEN_PATH)[index][3]).items()}


async def test_client_credentials_give_a_token_with_instance_and_org_of_the_answer(tmp_path: Path) -> None:
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(200, token_body(org)))
        async with session(client_credentials(org, tmp_path)) as s:
            token = await s.token()
    assert (token.access_token, token.instance_url) == ("token-1", org.url)
    assert (token.org_id, token.user_id, token.issued_at) == (ORG_ID, USER_ID, NOW)
    assert form_of(org) == {
        "grant_type": "client_credentials",
        "client_id": "client-id",
        "client_secret": "s3cr3t-value",
    }


async def test_a_short_org_id_in_the_answer_becomes_the_long_one(tmp_path: Path) -> None:
    async with running(Org()) as org:
        body = token_body(org) | {"id": f"{org.url}/id/00D5e000000AbCd/0055e000000AbCd"}
        org.script("POST", TOKEN_PATH, answer(200, body))
        async with session(client_credentials(org, tmp_path)) as s:
            token = await s.token()
    assert len(token.org_id) == 18
    assert token.org_id.startswith("00D5e000000AbCd")


async def test_a_jwt_assertion_is_signed_short_lived_and_names_app_user_and_audience(tmp_path: Path) -> None:
    pem, public = rsa_key()
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(200, token_body(org)))
        credentials = Credentials(
            AuthMethod.JWT,
            login_url=org.url,
            client_id="client-id",
            private_key=Secret("private_key", file=written(tmp_path, "key.pem", pem)),
            username="recorder@acme.example",
            audience="https://test.salesforce.com",
        )
        async with session(credentials) as s:
            await s.token()
    form = form_of(org)
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(
        form["assertion"],
        public,
        algorithms=["RS256"],
        audience="https://test.salesforce.com",
        options={"verify_exp": False},
    )
    assert (claims["iss"], claims["sub"]) == ("client-id", "recorder@acme.example")
    assert 0 < claims["exp"] - NOW // 1000 <= 180


async def test_a_private_key_that_is_none_is_a_settings_error_that_does_not_show_it(tmp_path: Path) -> None:
    credentials = Credentials(
        AuthMethod.JWT,
        login_url="https://acme.my.salesforce.com",
        client_id="client-id",
        private_key=Secret("private_key", file=written(tmp_path, "key.pem", "not-a-key-at-all")),
        username="recorder@acme.example",
    )
    async with session(credentials) as s:
        with pytest.raises(SettingsError, match="private_key_file") as raised:
            await s.token()
    assert "not-a-key-at-all" not in "".join(traceback.format_exception(raised.value))


async def test_a_refresh_token_is_sent_and_one_given_in_its_place_is_used_next(tmp_path: Path) -> None:
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(200, token_body(org, refresh_token="refresh-2")))
        credentials = Credentials(
            AuthMethod.REFRESH_TOKEN,
            login_url=org.url,
            client_id="client-id",
            refresh_token=Secret("refresh_token", file=written(tmp_path, "refresh", "refresh-1")),
        )
        async with session(credentials) as s:
            await s.refresh(await s.token())
    assert form_of(org, 0)["refresh_token"] == "refresh-1"
    assert form_of(org, 1)["refresh_token"] == "refresh-2"


async def test_a_given_access_token_is_used_and_read_again_when_its_file_changes(tmp_path: Path) -> None:
    file = written(tmp_path, "token", "given-1")
    credentials = Credentials(
        AuthMethod.ACCESS_TOKEN,
        access_token=Secret("access_token", file=file),
        instance_url="https://acme.my.salesforce.com/",
        org_id=ORG_ID,
    )
    async with session(credentials) as s:
        first = await s.token()
        assert (first.access_token, first.instance_url, first.org_id) == (
            "given-1",
            "https://acme.my.salesforce.com",
            ORG_ID,
        )
        with pytest.raises(AuthExpired, match="access_token_file"):
            await s.refresh(first)
        file.write_text("given-2")
        os.utime(file, ns=(1, 1))
        assert (await s.refresh(first)).access_token == "given-2"


async def test_a_token_is_kept_until_it_is_refused(tmp_path: Path) -> None:
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(200, token_body(org)), answer(200, token_body(org, "token-2")))
        async with session(client_credentials(org, tmp_path)) as s:
            first = await s.token()
            assert await s.token() is first
            second = await s.refresh(first)
            assert second.access_token == "token-2"
            assert await s.refresh(first) is second
    assert len(org.seen(TOKEN_PATH)) == 2


async def test_all_who_wait_share_one_login(tmp_path: Path) -> None:
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(200, token_body(org)), answer(200, token_body(org, "token-2")))
        async with session(client_credentials(org, tmp_path)) as s:
            stale = await asyncio.gather(*(s.token() for _ in range(20)))
            fresh = await asyncio.gather(*(s.refresh(stale[0]) for _ in range(20)))
    assert {t.access_token for t in fresh} == {"token-2"}
    assert len(org.seen(TOKEN_PATH)) == 2


async def test_a_waiter_that_gives_up_does_not_stop_the_login_for_the_others(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return said(200, token_body(org))

    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, slow)
        async with session(client_credentials(org, tmp_path)) as s:
            leaving, staying = asyncio.ensure_future(s.token()), asyncio.ensure_future(s.token())
            await asyncio.sleep(0)
            leaving.cancel()
            gate.set()
            assert (await staying).access_token == "token-1"


async def test_after_a_failure_nothing_is_sent_until_the_pause_is_over_and_pauses_grow(
    tmp_path: Path,
) -> None:
    time = Time()
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(503, {}))
        async with session(client_credentials(org, tmp_path), time) as s:
            pauses = []
            for sent in (1, 2, 3, 4):
                with pytest.raises(OrgUnavailable):
                    await s.token()
                with pytest.raises(OrgUnavailable) as raised:
                    await s.token()
                assert len(org.seen(TOKEN_PATH)) == sent
                pauses.append(raised.value.retry_after_s)
                time.s += raised.value.retry_after_s or 0
    assert pauses == [1.0, 2.0, 4.0, 8.0]


async def test_a_corrected_secret_is_tried_at_once(tmp_path: Path) -> None:
    async with running(Org()) as org:
        org.script(
            "POST",
            TOKEN_PATH,
            answer(400, {"error": "invalid_client", "error_description": "invalid client credentials"}),
            answer(200, token_body(org)),
        )
        async with session(client_credentials(org, tmp_path, "wrong")) as s:
            with pytest.raises(AuthRefused):
                await s.token()
            with pytest.raises(AuthRefused):
                await s.token()
            assert len(org.seen(TOKEN_PATH)) == 1
            written(tmp_path, "secret", "corrected")
            assert (await s.token()).access_token == "token-1"
    assert form_of(org)["client_secret"] == "corrected"


async def test_two_logins_are_at_least_a_second_apart(tmp_path: Path) -> None:
    time = Time()
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(200, token_body(org)))
        async with session(client_credentials(org, tmp_path), time) as s:
            started = time.s
            token = await s.token()
            await s.refresh(token)
    assert time.s - started >= 1.0


REFUSALS = [
    ("invalid_client_id", "client identifier invalid", AuthRefused, "client_id"),
    ("invalid_client", "invalid client credentials", AuthRefused, "secret"),
    ("invalid_grant", "no client credentials user enabled", AuthRefused, "Run As"),
    ("invalid_grant", "user hasn't approved this consumer", AuthRefused, "pre-authorise"),
    ("invalid_grant", "Audience validation failed", AuthRefused, "audience"),
    ("invalid_grant", "expired access/refresh token", AuthRefused, "authorise the app again"),
    ("invalid_grant", "expired authorization code", AuthRefused, "clock"),
    ("invalid_grant", "request not supported on this domain", AuthRefused, "My Domain"),
    ("invalid_grant", "something never seen", AuthRefused, "something never seen"),
    ("inactive_user", "user is inactive", AuthRefused, "activate"),
    ("inactive_org", "organization is inactive", AuthRefused, "locked"),
    ("unsupported_grant_type", "grant type not supported", AuthRefused, "enable the flow"),
    ("rate_limit_exceeded", "login rate exceeded", OrgUnavailable, "too many logins"),
    ("unknown_error", "retry your request", OrgUnavailable, "tried again"),
]


@pytest.mark.parametrize(("error", "description", "kind", "says"), REFUSALS)
async def test_a_refusal_is_one_sentence_with_the_remedy(
    error: str, description: str, kind: type[CdcError], says: str, tmp_path: Path
) -> None:
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(400, {"error": error, "error_description": description}))
        async with session(client_credentials(org, tmp_path)) as s:
            with pytest.raises(kind) as raised:
                await s.token()
    assert type(raised.value) is kind
    assert says in raised.value.sentence()
    assert org.url in raised.value.sentence()


async def test_a_redirect_of_the_login_host_is_refused_and_not_followed(tmp_path: Path) -> None:
    async with running(Org()) as elsewhere, running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(302, {}, Location=elsewhere.url + TOKEN_PATH))
        async with session(client_credentials(org, tmp_path)) as s:
            with pytest.raises(AuthRefused, match="My Domain"):
                await s.token()
    assert elsewhere.requests == []


@pytest.mark.parametrize("body", ["<html>sign in</html>", "[]", "{}", '{"access_token": "x"}'])
async def test_an_answer_that_is_no_token_is_unavailable_not_a_crash(body: str, tmp_path: Path) -> None:
    async def give(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, give)
        async with session(client_credentials(org, tmp_path)) as s:
            with pytest.raises(OrgUnavailable):
                await s.token()


async def test_an_answer_that_comes_in_pieces_is_read_whole(tmp_path: Path) -> None:
    async def pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        text = json.dumps(token_body(org)).encode()
        for at in range(0, len(text), 16):
            await response.write(text[at : at + 16])
            await asyncio.sleep(0)
        return response

    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, pieces)
        async with session(client_credentials(org, tmp_path)) as s:
            assert (await s.token()).access_token == "token-1"


async def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" " * 65536)
        return response

    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, endless)
        async with session(client_credentials(org, tmp_path)) as s:
            with pytest.raises(OrgUnavailable, match="larger"):
                await s.token()


async def test_an_instance_that_is_not_https_is_refused(tmp_path: Path) -> None:
    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, answer(200, token_body(org) | {"instance_url": "http://acme.example"}))
        async with session(client_credentials(org, tmp_path)) as s:
            with pytest.raises(SettingsError, match="https"):
                await s.token()


async def test_an_unreachable_login_host_is_unavailable(tmp_path: Path) -> None:
    org = Org()
    org.url = "http://127.0.0.1:1"
    async with session(client_credentials(org, tmp_path)) as s:
        with pytest.raises(OrgUnavailable, match=r"127\.0\.0\.1:1"):
            await s.token()


async def test_a_private_host_is_verified_with_an_extra_root_and_refused_without(tmp_path: Path) -> None:
    import ssl

    key, certificate = self_signed("localhost")
    (tmp_path / "key.pem").write_bytes(key)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(certificate)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ca, tmp_path / "key.pem")
    async with running(Org(), tls) as org:
        org.script("POST", TOKEN_PATH, answer(200, token_body(org)))
        async with session(client_credentials(org, tmp_path), ca_file=ca) as s:
            assert (await s.token()).instance_url == org.url
        async with session(client_credentials(org, tmp_path)) as s:
            with pytest.raises(OrgUnavailable, match="ca_file"):
                await s.token()


def everything_shown(error: BaseException) -> Iterator[str]:
    yield from traceback.format_exception(error)
    yield repr(error)


async def test_no_secret_is_ever_shown_even_when_the_org_echoes_it(tmp_path: Path) -> None:
    async with running(Org()) as org:
        echo = {"error": "invalid_client", "error_description": "secret s3cr3t-value is wrong"}
        org.script("POST", TOKEN_PATH, answer(400, echo), answer(200, token_body(org)))
        credentials = client_credentials(org, tmp_path)
        time = Time()
        async with session(credentials, time) as s:
            with pytest.raises(AuthRefused) as raised:
                await s.token()
            time.s += 60
            token = await s.token()
            shown = " ".join([*everything_shown(raised.value), repr(credentials), repr(token), repr(s)])
    assert "s3cr3t-value" not in shown
    assert "token-1" not in shown


@pytest.mark.parametrize("method", list(AuthMethod))
def test_what_a_way_of_logging_in_needs_is_named_when_missing(method: AuthMethod) -> None:
    with pytest.raises(SettingsError) as raised:
        Credentials(method)
    assert method in raised.value.sentence()


def test_plain_http_is_only_for_this_machine() -> None:
    with pytest.raises(SettingsError, match="login_url"):
        Credentials(
            AuthMethod.CLIENT_CREDENTIALS,
            login_url="http://acme.my.salesforce.com",
            client_id="x",
            client_secret=Secret("client_secret", value="y"),
        )


async def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    secret = Secret("client_secret", file=tmp_path / "absent")
    with pytest.raises(SettingsError, match="absent"):
        secret.read()


def test_a_secret_whose_file_goes_away_for_a_moment_keeps_its_last_value(tmp_path: Path) -> None:
    file = written(tmp_path, "secret", "first")
    secret = Secret("client_secret", file=file)
    assert secret.read() == "first"
    file.unlink()
    assert secret.read() == "first"
    written(tmp_path, "secret", "second")
    assert secret.read() == "second"


@pytest.mark.parametrize("status", [400, 403, 502, 503])
async def test_a_page_of_html_is_not_the_orgs_refusal(status: int, tmp_path: Path) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="<html>down for maintenance</html>", content_type="text/html")

    async with running(Org()) as org:
        org.script("POST", TOKEN_PATH, page)
        async with session(client_credentials(org, tmp_path)) as s:
            with pytest.raises(OrgUnavailable):
                await s.token()


async def test_credentials_that_have_worked_and_are_refused_later_are_tried_again(tmp_path: Path) -> None:
    """A user frozen for an hour must not end a recorder that runs for months; a file replaced is read at once."""
    time = Time()
    async with running(Org()) as org:
        refused = answer(400, {"error": "inactive_user", "error_description": "user is inactive"})
        org.script(
            "POST", TOKEN_PATH, answer(200, token_body(org)), refused, answer(200, token_body(org, "token-2"))
        )
        async with session(client_credentials(org, tmp_path), time) as s:
            first = await s.token()
            with pytest.raises(AuthExpired, match="inactive") as raised:
                await s.refresh(first)
            assert "tried again by itself" in raised.value.sentence()
            time.s += 120
            assert (await s.refresh(first)).access_token == "token-2"


async def test_a_login_that_leads_to_another_org_than_before_is_not_taken(tmp_path: Path) -> None:
    """A secret replaced by that of another org: its changes must not go on behind those of the first."""
    async with running(Org()) as org:
        other = token_body(org, "token-2") | {"id": f"{org.url}/id/00D5e000000AbCd/0055e000000AbCd"}
        org.script("POST", TOKEN_PATH, answer(200, token_body(org)), answer(200, other))
        async with session(client_credentials(org, tmp_path)) as s:
            first = await s.token()
            with pytest.raises(OtherOrg, match=f"of the org 00D5e000000AbCd.* and was of {ORG_ID}"):
                await s.refresh(first)
