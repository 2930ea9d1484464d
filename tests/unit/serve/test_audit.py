"""Whoever does something through the API is kept: who, by which role, what, when, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc.errors import LogUnavailable
from cdc.ports.log import LogRecord
from cdc.serve.auth import Role
from tests.unit.journal.batches import record_id
from tests.unit.serve.standing import ENTITY, Standing, standing, token_of


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path, masked=[f"{ENTITY}.Name"]) as made:
        yield made


def calls(api: Standing, what: str = "") -> list[dict[str, Any]]:
    return [row for row in api.rows("/api/v1/audit") if not what or row["what"] == what]


def test_a_deed_and_an_action_are_kept_with_who_did_them(api: Standing) -> None:
    assert api.ask("POST", "/api/v1/seal", {}, role=Role.OPERATOR).status == 200
    given = {"by": "the night shift", "note": "a known load"}
    assert api.ask("POST", "/api/v1/incidents/a-1/close", given, role=Role.OPERATOR).status == 200
    assert api.ask("POST", "/api/v1/incidents/a-1/acknowledge", {}).status == 200
    acknowledged, closed, sealed = calls(api)
    assert [c["what"] for c in (sealed, closed, acknowledged)] == [
        "seal",
        "close_incident",
        "acknowledge_incident",
    ]
    assert [c["role"] for c in (sealed, closed, acknowledged)] == ["operator", "operator", "admin"]
    assert closed["by"] == "the night shift"
    assert closed["given"] == {"incident_id": "a-1", "note": "a known load"}
    assert sealed["token"] == hashlib.sha256(token_of(Role.OPERATOR).encode()).hexdigest()[:8]
    for call in (sealed, closed, acknowledged):
        assert call["status"] == 200
        assert call["called_at"] <= call["answered_at"]


def test_an_erasure_is_kept_without_what_it_was_about(api: Standing) -> None:
    asked = {"entity": ENTITY, "ids": [record_id(1)], "asked_by": "the person", "reason": "request 12"}
    looked = api.ask("POST", "/api/v1/erase", asked).json
    token = dict(zip(looked["columns"], looked["rows"][0], strict=True))["confirm"]
    assert api.ask("POST", "/api/v1/erase", {**asked, "confirm": "wrong"}).status == 400
    assert api.ask("POST", "/api/v1/erase", {**asked, "confirm": token}).status == 200
    done, refused, seen = calls(api, "erase")
    assert [c["status"] for c in (seen, refused, done)] == [200, 400, 200]
    assert done["given"] == {
        "entity": ENTITY, "ids_count": 1, "asked_by": "the person", "reason": "request 12", "confirmed": True
    }  # fmt: skip
    assert "confirmed" not in seen["given"]
    told = b"".join(record.value for record in api.told)
    assert record_id(1).encode() not in told
    assert token.encode() not in told


def test_what_was_not_allowed_and_what_failed_are_kept(api: Standing) -> None:
    assert api.ask("POST", "/api/v1/restores/r-1/apply", {"hash": "x"}, role=Role.OPERATOR).status == 403
    assert api.ask("POST", "/api/v1/restores/r-1/apply", {"hash": "x"}).status == 404
    failed, refused = calls(api, "apply_restore")
    assert [(c["role"], c["status"]) for c in (refused, failed)] == [("operator", 403), ("admin", 404)]
    assert failed["given"]["restore_id"] == refused["given"]["restore_id"] == "r-1"


def test_only_admins_read_it_and_page_by_page(api: Standing) -> None:
    for _ in range(3):
        api.ask("POST", "/api/v1/seal", {})
    for role in (Role.VIEWER, Role.OPERATOR):
        assert api.ask("GET", "/api/v1/audit", role=role).status == 403
    first = api.ask("GET", "/api/v1/audit?limit=2").json
    second = api.ask("GET", f"/api/v1/audit?limit=2&cursor={first['next']}").json
    assert second["next"] is None
    ids = [row[0] for row in first["rows"] + second["rows"]]
    assert len(set(ids)) == len(ids) == 3


def test_nothing_is_done_that_cannot_be_told(api: Standing) -> None:
    def away(_: Sequence[LogRecord]) -> None:
        raise LogUnavailable("the log is away")

    recovery = api.door.recovery
    assert recovery is not None
    publish, recovery.ledger.publish = recovery.ledger.publish, away
    assert api.ask("POST", "/api/v1/seal", {}).status == 503
    recovery.ledger.publish = publish
    assert not calls(api)
    assert not api.rows("/api/v1/seals"), "sealed, and nobody knows by whom"


def test_a_look_at_what_viewers_see_masked_is_kept_once_an_hour(api: Standing) -> None:
    path = f"/api/v1/history/{ENTITY}/{record_id(1)}"
    for role in (Role.VIEWER, Role.OPERATOR, Role.OPERATOR, Role.ADMIN):
        assert api.ask("GET", path, role=role).status == 200
    assert api.ask("GET", "/api/v1/coverage", role=Role.OPERATOR).status == 200
    looks = calls(api, "read history")
    assert sorted(c["role"] for c in looks) == ["admin", "operator"]
    assert {c["given"]["entity"] for c in looks} == {ENTITY}
    assert len(calls(api)) == 2
