"""The webhook: signed, to public addresses alone, without values of masked fields."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cdc.errors import BadArgument, RetryLater, SettingsError
from cdc.ports.clock import Clock
from connectors.sinks.told import told
from connectors.sinks.webhook import CheckedResolver, WebhookSink
from tests.unit.sinks.test_terminal import ALERT

NOW_MS = 1_790_000_100_000


class Receiver:
    """A program that takes webhooks: what it was sent, and what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.calls = 0

    async def take(self, request: web.Request) -> web.Response:
        self.calls += 1
        self.headers, self.body = dict(request.headers), await request.read()
        moved = {"Location": "http://127.0.0.1:1/elsewhere"} if 300 <= self.status < 400 else {}
        return web.Response(status=self.status, headers=moved)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    async with TestServer(app) as server:
        yield made, str(server.make_url("/hook"))


def sink(url: str, **given: Any) -> WebhookSink:
    return WebhookSink(url, lambda: "key", clock=Clock(wall_ms=lambda: NOW_MS), **given)  # type: ignore[arg-type, return-value]


async def test_the_signature_is_what_a_receiver_computes(receiver: tuple[Receiver, str]) -> None:
    made, url = receiver
    hook = sink(url)
    await hook.deliver(ALERT)
    await hook.close()
    stamp = made.headers["X-Cdc-Timestamp"]
    expected = hmac.new(b"key", stamp.encode() + b"." + made.body, hashlib.sha256).hexdigest()
    assert made.headers["X-Cdc-Signature"] == f"sha256={expected}"
    assert (stamp, made.headers["X-Cdc-Delivery"]) == ("1790000100", "a1.1")
    assert json.loads(made.body)["first_change_at"] == "2026-09-21T14:13:20.000Z"


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_what_may_pass_is_tried_again(receiver: tuple[Receiver, str], status: int) -> None:
    made, url = receiver
    made.status = status
    hook = sink(url)
    with pytest.raises(RetryLater, match=str(status)):
        await hook.deliver(ALERT)
    await hook.close()


@pytest.mark.parametrize("status", [302, 307, 400, 404])
async def test_a_redirect_is_not_followed_and_a_refusal_is_final(
    receiver: tuple[Receiver, str], status: int
) -> None:
    made, url = receiver
    made.status = status
    hook = sink(url)
    with pytest.raises(BadArgument, match=str(status)):
        await hook.deliver(ALERT)
    await hook.close()
    assert made.calls == 1


def test_plain_http_is_for_loopback_alone() -> None:
    with pytest.raises(SettingsError, match="https"):
        sink("http://example.com/hook")


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "192.168.0.9", "172.16.5.5", "169.254.169.254", "127.0.0.1", "::1", "::ffff:10.0.0.1"],
)
def test_addresses_inside_are_refused_unless_allowed(address: str) -> None:
    found = ipaddress.ip_address(address)
    with pytest.raises(OSError, match="not a public address"):
        CheckedResolver([], loopback=False).check(found)
    ranges = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "192.168.0.0/16")]
    if address in ("10.1.2.3", "192.168.0.9", "::ffff:10.0.0.1"):
        CheckedResolver(ranges, loopback=False).check(found)


async def test_a_literal_address_inside_is_refused_for_good() -> None:
    hook = sink("https://10.0.0.1/hook")
    with pytest.raises((BadArgument, OSError), match="public address"):
        await hook.deliver(ALERT)
    await hook.close()


def test_values_of_masked_fields_stand_nowhere() -> None:
    said = json.dumps(told(ALERT, {"Opportunity.StageName"}))
    assert "Closed Lost" not in said
    assert "Proposal" not in said
    assert said.count("masked") >= 4
    assert "Closed Lost" in json.dumps(told(ALERT, {"Account.StageName"}))
