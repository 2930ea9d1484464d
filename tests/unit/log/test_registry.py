"""A schema registry: subjects, compatibility, ids; away, refusing, odd. Against a server that speaks as one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cdc.avro.framing import frame_prefix
from cdc.errors import CdcError, LogRefused, LogUnavailable
from cdc.log.registry import SchemaRegistry, full_name

SCHEMA = '{"type":"record","name":"AccountChangeEvent","namespace":"com.sforce.eventbus","fields":[]}'
SUBJECT = "salesforce.acme.AccountChangeEvent-com.sforce.eventbus.AccountChangeEvent"


class Server(ThreadingHTTPServer):
    """Answers by a script: (status, body) by method and the end of the path; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, Any, str | None]] = []
        self.subjects: dict[str, list[str]] = {}
        self.refusal: tuple[int, str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.command, self.path, body, self.headers.get("Authorization")))
        subject = self.path.split("/")[2]
        if self.command == "GET":
            known = self.server.subjects.get(subject)
            self._say(200, json.dumps([1])) if known else self._say(404, '{"error_code":40401}')
        elif self.server.refusal:
            self._say(*self.server.refusal)
        elif self.command == "PUT":
            self._say(200, json.dumps(body))
        else:
            versions = self.server.subjects.setdefault(subject, [])
            if body["schema"] not in versions:
                versions.append(body["schema"])
            self._say(200, json.dumps({"id": 40 + versions.index(body["schema"])}))

    do_GET = do_POST = do_PUT = _do

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()


def test_a_new_subject_gets_its_compatibility_and_each_schema_its_id_once(server: Server) -> None:
    registry = SchemaRegistry(server.url + "/", "salesforce.acme", compatibility="NONE")
    for _ in range(3):
        assert registry.prefix("AccountChangeEvent", SCHEMA) == b"\0" + (40).to_bytes(4, "big")
    assert [(method, path) for method, path, _, _ in server.asked] == [
        ("GET", f"/subjects/{SUBJECT}/versions"),
        ("POST", f"/subjects/{SUBJECT}/versions"),
        ("PUT", f"/config/{SUBJECT}"),
    ]
    assert server.asked[1][2] == {"schema": SCHEMA}
    assert server.asked[2][2] == {"compatibility": "NONE"}


def test_a_subject_that_is_there_keeps_its_own_compatibility(server: Server) -> None:
    server.subjects[SUBJECT] = [SCHEMA]
    SchemaRegistry(server.url, "salesforce.acme").prefix("AccountChangeEvent", SCHEMA)
    assert [method for method, *_ in server.asked] == ["GET", "POST"]


def test_schemas_that_differ_in_their_doc_alone_have_ids_of_their_own(server: Server) -> None:
    registry = SchemaRegistry(server.url, "salesforce.acme")
    other = SCHEMA.replace('"fields"', '"doc":"Data:DateOnly","fields"')
    assert registry.prefix("AccountChangeEvent", SCHEMA) != registry.prefix("AccountChangeEvent", other)
    assert frame_prefix(SCHEMA) == frame_prefix(other)  # which the other frame cannot tell apart


def test_a_schema_it_refuses_is_framed_without_it_and_told(server: Server) -> None:
    told: list[CdcError] = []
    server.subjects[SUBJECT] = ["another"]
    server.refusal = (409, '{"error_code":409,"message":"Schema being registered is incompatible"}')
    registry = SchemaRegistry(server.url, "salesforce.acme", refused=told.append)
    assert registry.prefix("AccountChangeEvent", SCHEMA) == frame_prefix(SCHEMA)
    (error,) = told
    assert isinstance(error, LogRefused)
    assert SUBJECT in error.sentence()
    assert "compatibility to NONE" in error.sentence()


@pytest.mark.parametrize(
    "answer", [(500, "oops"), (401, "who are you"), (200, "<html>"), (200, '{"id": "x"}')]
)
def test_a_registry_that_answers_oddly_is_tried_again(answer: tuple[int, str], server: Server) -> None:
    server.subjects[SUBJECT] = ["another"]
    server.refusal = answer
    registry = SchemaRegistry(server.url, "salesforce.acme")
    with pytest.raises(LogUnavailable):
        registry.prefix("AccountChangeEvent", SCHEMA)
    server.refusal = None
    assert registry.prefix("AccountChangeEvent", SCHEMA)[:1] == b"\0"


def test_a_registry_that_is_away_says_so_without_the_password() -> None:
    registry = SchemaRegistry("http://me:secret-word@127.0.0.1:9", "salesforce.acme")
    with pytest.raises(LogUnavailable) as raised:
        registry.prefix("AccountChangeEvent", SCHEMA)
    assert "127.0.0.1:9" in raised.value.sentence()
    assert "secret-word" not in raised.value.sentence()


def test_user_and_password_of_the_address_are_sent_as_basic_authorization(server: Server) -> None:
    SchemaRegistry(server.url.replace("//", "//me:pass@"), "p").prefix("A", SCHEMA)
    assert server.asked[0][3] == "Basic bWU6cGFzcw=="


def test_a_full_name_has_its_namespace_once() -> None:
    assert full_name(SCHEMA) == "com.sforce.eventbus.AccountChangeEvent"
    assert full_name('{"name":"a.b.C","namespace":"x"}') == "a.b.C"
    assert full_name('{"name":"C"}') == "C"
