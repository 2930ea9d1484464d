"""A page that asks again and again is sent what is new, and nothing is asked of the journal for what is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.serve import etags
from cdc.serve.auth import Role
from cdc.serve.etags import TAGGED
from tests.unit.journal.batches import T0, Change, alert, batch, record_id
from tests.unit.journal.held import commit
from tests.unit.serve.standing import ENTITY, Answered, Standing, standing


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    monkeypatch.setattr(etags, "GOOD_FOR_S", 1e9)
    with standing(tmp_path) as made:
        yield made


def again(api: Standing, path: str, tag: str, role: Role = Role.ADMIN) -> Answered:
    return api.ask("GET", path, role=role, headers={"If-None-Match": tag})


@pytest.mark.parametrize("name", sorted(TAGGED))
def test_what_has_not_changed_is_not_asked_again(api: Standing, name: str) -> None:
    path = f"/api/v1/{name}"
    first = api.ask("GET", path)
    tag = first.headers["etag"]
    asked = 0
    reader = api.door.asking.reader

    @contextlib.contextmanager
    def counted() -> Iterator[Any]:
        nonlocal asked
        asked += 1
        with reader() as one:
            yield one

    api.door.asking.reader = counted
    held = again(api, path, tag)
    assert (held.status, held.body, asked) == (304, b"", 0)
    assert held.headers["etag"] == tag
    assert again(api, path, f'"other", {tag}').status == 304
    assert again(api, f"{path}?limit=x", tag).status == 400, "a question that is no good is not held"
    assert again(api, path, tag, Role.VIEWER).status == 200, "another sees it otherwise"
    assert api.ask("GET", path, role=None, headers={"If-None-Match": tag}).status == 401
    assert asked == 1


def test_a_change_an_alert_and_an_erasure_are_new(api: Standing) -> None:
    tags = {name: api.ask("GET", f"/api/v1/{name}").headers["etag"] for name in TAGGED}

    def all_new() -> None:
        for name, tag in tags.items():
            answered = again(api, f"/api/v1/{name}", tag)
            assert answered.status == 200, name
            tags[name] = answered.headers["etag"]

    commit(api.journal, batch([Change(31, 2, said={"Name": "newer"}, at=T0 + 90_000)]))
    all_new()
    commit(api.journal, batch(control=[alert("a-2", 1)], upto=31, offset=32))
    all_new()
    asked = {"entity": ENTITY, "ids": [record_id(1)], "asked_by": "a", "reason": "b"}
    token = api.ask("POST", "/api/v1/erase", asked).json["rows"][0][4]
    assert api.ask("POST", "/api/v1/erase", {**asked, "confirm": token}).status == 200
    all_new()


def test_what_no_commit_tells_is_seen_after_a_while(api: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    tag = api.ask("GET", "/api/v1/status").headers["etag"]
    assert again(api, "/api/v1/status", tag).status == 304
    monkeypatch.setattr(etags, "GOOD_FOR_S", 1e-6)
    assert again(api, "/api/v1/status", tag).status == 200
