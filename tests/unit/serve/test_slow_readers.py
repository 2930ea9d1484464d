"""Whoever reads slowly, or not at all, holds nobody up: not the writer, not others who ask."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.serve.auth import Role
from tests.unit.journal.batches import T0, Change, batch
from tests.unit.journal.held import commit
from tests.unit.serve.standing import Standing, standing, token_of

BIG = "SELECT range AS n, repeat('x', 1000) AS x FROM range(10000)"
"""About ten megabytes: more than the buffers between hold."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path) as made:
        yield made


def test_answers_that_nobody_takes_do_not_hold_the_writer(api: Standing) -> None:
    host, _, port = api.address.rpartition(":")
    body = json.dumps({"sql": BIG, "limit": 10_000})
    request = (
        f"POST /api/v1/query HTTP/1.1\r\nHost: {api.address}\r\nAuthorization: Bearer {token_of(Role.ADMIN)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    slow = [socket.create_connection((host, int(port))) for _ in range(5)]
    try:
        for one in slow:
            one.settimeout(60)
            one.sendall(request.encode())
            assert one.recv(12) == b"HTTP/1.1 200", "it is being answered, and no more is taken"
        for number in range(31, 61):
            commit(api.journal, batch([Change(number, 2, said={"Name": "newer"}, at=T0 + number * 1000)]))
        counted = api.ask("POST", "/api/v1/query", {"sql": "SELECT max(seq) AS last FROM changes"})
        assert counted.json["rows"] == [[60]]
    finally:
        for one in slow:
            one.close()
