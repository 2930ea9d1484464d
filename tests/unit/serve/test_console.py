"""The console's files are served without a token, with a strict policy, and nothing else of the machine is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from cdc.metrics import Metrics
from cdc.serve import console
from cdc.serve.app import Door, make_app
from cdc.serve.auth import Tokens

Client = TestClient[Any, Any]


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """The API with a console of two files; a file beside them is none of its business."""
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>t</title>")
    (dist / "assets" / "index-1.js").write_text("export {};")
    (dist / "assets" / "notes.txt").write_text("not of the console")
    (tmp_path / "secret.js").write_text("secret")
    monkeypatch.setattr(console.routes, "__defaults__", (dist,))
    async with TestClient(
        TestServer(make_app(Door(contextlib.nullcontext, Tokens(()), Metrics())))
    ) as client:
        yield client


@pytest.mark.parametrize("page", ["/", "/incidents", "/incidents/a1", "/time/Account/001", "/undo", "/sql"])
async def test_every_page_is_the_same_document_and_needs_no_token(client: Client, page: str) -> None:
    answer = await client.get(page)
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_files_have_their_type_and_are_kept_by_browsers(client: Client) -> None:
    answer = await client.get("/assets/index-1.js")
    assert (answer.status, answer.content_type) == (200, "text/javascript")
    assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    [
        "/assets/..%2f..%2fsecret.js",
        "/assets/%2e%2e/secret.js",
        "/assets/..%5csecret.js",
        "/assets/index-1.js%00",
        "/assets/notes.txt",
        "/assets/",
        "/etc/passwd",
    ],
)
async def test_no_path_leads_to_anything_else(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status in (401, 404)
    assert "secret" not in (await answer.text()).removeprefix("secret.js")


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/rates", "/api/v1/nothing", "/metrics", "/api"])
async def test_what_holds_data_still_asks_for_a_token(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 401


async def test_a_console_that_is_not_built_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.routes, "__defaults__", (tmp_path / "nowhere",))
    door = Door(contextlib.nullcontext, Tokens(()), Metrics())
    async with TestClient(TestServer(make_app(door))) as client:
        answer = await client.get("/")
        assert answer.status == 404
        assert "npm" in await answer.text()
