"""Who may call what, over every operation that is described; and requests that are meant to go round it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from cdc.serve.app import BODY_BYTES_MAX
from cdc.serve.auth import Role
from cdc.serve.openapi import document
from tests.unit.journal.batches import record_id
from tests.unit.serve.standing import ENTITY, HOSTILE, Answered, Standing, standing, token_of

KNOWN = {"entity": ENTITY, "record_id": record_id(1), "incident_id": "a-1", "restore_id": "r", "name": "n"}
OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
]
GUARDED = [one for one in OPERATIONS if "x-role" in one[2]]
NAMES = [f"{method} {path}" for method, path, _ in GUARDED]

VIEWERS_MAY_NOT = {
    "query",
    "changes",
    "replay_plan",
    "seal",
    "verify",
    "baselines",
    "plan_restore",
    "plan_rollback",
}
ONLY_ADMINS_MAY = {
    "apply_restore",
    "apply_rollback",
    "erase",
    "snapshot",
    "audit",
    "plan_copy",
    "drill",
    "keep_drill",
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("api")) as made:
        yield made


def filled(path: str, **given: str) -> str:
    return path.format(**{name: quote(value, safe="") for name, value in {**KNOWN, **given}.items()})


def refuses(answered: Answered, status: int) -> None:
    """A problem document of that status, which shows nothing of the inside."""
    assert answered.status == status, answered.body[:300]
    assert answered.is_problem
    assert answered.json["status"] == status
    assert answered.json["detail"]
    assert b"Traceback" not in answered.body


@pytest.mark.parametrize(("method", "path", "operation"), GUARDED, ids=NAMES)
def test_each_role_may_what_is_written_and_nobody_without_a_token(
    api: Standing, method: str, path: str, operation: dict[str, Any]
) -> None:
    body = b'"no object"' if method == "POST" else None  # refused by every one that it reaches
    json_sent = {"Content-Type": "application/json"}
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {token_of(Role.ADMIN)}"},
    ):
        answered = api.ask(method, filled(path), body, role=None, headers={**json_sent, **headers})
        refuses(answered, 401)
        assert answered.headers["www-authenticate"] == "Bearer"
    needed = Role[operation["x-role"].upper()]
    if operation["operationId"] == "alerts_stream":
        return
    for role in Role:
        answered = api.ask(method, filled(path), body, role=role, headers=json_sent)
        if role < needed:
            refuses(answered, 403)
        else:
            assert answered.status not in (401, 403), answered.body


def test_writing_to_the_org_and_erasing_is_for_admins_and_looking_for_everybody() -> None:
    """The table of roles is what the design says, not only the same in two places."""
    needed = {operation["operationId"]: operation["x-role"] for _, _, operation in GUARDED}
    assert {name for name, role in needed.items() if role == "admin"} == ONLY_ADMINS_MAY
    assert {needed[name] for name in VIEWERS_MAY_NOT} == {"operator"}
    assert {role for name, role in needed.items() if name in ("status", "alerts", "incidents", "state")} == {
        "viewer"
    }


def test_a_page_of_another_site_can_neither_send_a_form_nor_a_script(api: Standing) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refuses(api.ask("POST", "/api/v1/seal", "{}", role=None, headers={"Content-Type": kind}), 401)
        refuses(api.ask("POST", "/api/v1/seal", "{}", headers={"Content-Type": kind}), 415)
        form = api.ask("POST", "/api/v1/incidents/a-1/close", '{"note":"x"}', headers={"Content-Type": kind})
        refuses(form, 415)
    foreign = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    refuses(api.ask("POST", "/api/v1/seal", {}, headers=foreign), 403)
    preflight = api.ask("OPTIONS", "/api/v1/seal", role=None, headers=foreign)
    assert preflight.status >= 400
    assert not [name for name in preflight.headers if name.startswith("access-control")]


@pytest.mark.parametrize("cookie", ["token", "session", "Authorization"])
def test_a_cookie_is_no_token(api: Standing, cookie: str) -> None:
    sent = {"Cookie": f"{cookie}={token_of(Role.ADMIN)}"}
    refuses(api.ask("GET", "/api/v1/status", role=None, headers=sent), 401)
    assert "set-cookie" not in api.ask("GET", "/api/v1/status").headers
    refuses(api.ask("GET", f"/api/v1/status?token={token_of(Role.ADMIN)}", role=None), 401)


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../serve/app.py", "/assets/..%2f..%2fserve%2fapp.py", "/assets/%2e%2e/%2e%2e/package.json",
        "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/assets/..%5c..%5cpackage.json", "/assets/%00index.html",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_consoles_files(api: Standing, path: str) -> None:
    assert api.ask("GET", path, role=None).status in (400, 401, 404)


@pytest.mark.parametrize(
    "path", ["/api/v1/../v1/query", "/api/v1//query", "/api/v1/query/", "/API/v1/query", "/api/v1/%71uery"]
)
def test_no_spelling_of_an_address_goes_round_its_role(api: Standing, path: str) -> None:
    answered = api.ask("POST", path, {"sql": "SELECT 1"}, role=Role.VIEWER)
    assert answered.status in (403, 404), answered.body
    assert api.ask("POST", path, {"sql": "SELECT 1"}, role=None).status == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b"[]", 400), (b"null", 400), (b'"text"', 400), (b"\xff\xfe{", 400), (b'{"sql": NaN', 400),
        (b'{"sql": "\\ud800"}', 400), (b"[" * 200_000, 400), (b'{"a":' * 100_000, 400),
        (b'{"sql": 1}', 400), (b'{"sql": "SELECT 1", "more": 1}', 400), (b'{"limit": ' + b"9" * 5000 + b"}", 400),
        (b'{"sql": "' + b"x" * BODY_BYTES_MAX + b'"}', 413),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_body_that_is_no_good_is_told_so_in_a_sentence(api: Standing, body: bytes, status: int) -> None:
    refuses(api.ask("POST", "/api/v1/query", body, headers={"Content-Type": "application/json"}), status)


@pytest.mark.parametrize(("method", "path", "operation"), GUARDED, ids=NAMES)
@pytest.mark.parametrize(
    "text", [HOSTILE, "' OR 1=1; DROP TABLE store.changes --", "\x00", "%s%n{}$1", "../" * 9]
)
def test_text_in_any_parameter_is_text(
    api: Standing, method: str, path: str, operation: dict[str, Any], text: str
) -> None:
    if operation["operationId"] in ("alerts_stream", "snapshot"):
        return
    given = {p["name"]: text for p in operation.get("parameters", ()) if p["in"] == "query"}
    body = None
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = {
            name: [text] if kind["type"] == "array" and kind["items"]["type"] == "string" else text
            for name, kind in schema["properties"].items()
        }
    places = [filled(path, **dict.fromkeys(KNOWN, text)), filled(path)]
    for place in places:
        for one in given or [""]:
            answered = api.ask(method, f"{place}?{one}={quote(given[one])}" if one else place, body)
            assert answered.status < 500 or answered.status == 503, answered.body
            assert not any(
                word in answered.body for word in (b"Traceback", b"Catalog Error", b"Parser Error")
            )
    assert api.rows("/api/v1/entities"), "the journal is still there"


def test_headers_that_make_no_sense_change_nothing(api: Standing) -> None:
    for value in ("Bearer", "Bearer ", "bearer  x", "\xff\xfe", "Bearer " + "x" * 5000, "Bearer \xe9"):
        refuses(api.ask("GET", "/api/v1/status", role=None, headers={"Authorization": value}), 401)
    for name in ("X-Forwarded-For", "X-Original-URL", "X-HTTP-Method-Override", "Forwarded"):
        refuses(api.ask("GET", "/api/v1/audit", role=Role.VIEWER, headers={name: "/healthz"}), 403)
    assert (
        api.ask("GET", "/api/v1/status", headers={"Host": "elsewhere.example", "Accept": "*/*;q=x"}).status
        == 200
    )
    assert api.ask("GET", "/api/v1/status", headers={"If-None-Match": 'no tag at all, "'}).status == 200
