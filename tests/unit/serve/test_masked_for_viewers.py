"""Over HTTP a viewer sees that a classed field changed and not what it says; an operator sees it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from cdc.change.masking import Masked
from cdc.metrics import Metrics
from cdc.serve.app import Door, make_app
from cdc.serve.auth import Role, Tokens
from cdc.serve.questions import ARROW
from tests.unit.answer.recorded import ENTITY
from tests.unit.answer.told import A, Told

Client = TestClient[Any, Any]
SECRET = "4711-secret"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    told = Told()
    told.full_state(1, 1, A, after=0, Name=SECRET, Rating="Hot")
    told.event("UPDATE", 9, A, Name=SECRET + "-2")
    connection = told.opened()

    @contextlib.contextmanager
    def reader() -> Iterator[Any]:
        yield connection.cursor()

    digests = tuple((hashlib.sha256(role.name.encode()).digest(), role) for role in Role)
    door = Door(reader, Tokens(digests), Metrics(), masked=Masked([f"{ENTITY}.Name"]))
    async with TestClient(TestServer(make_app(door))) as made:
        yield made


async def get(client: Client, role: Role, path: str, **headers: str) -> tuple[int, str]:
    answer = await client.get(path, headers={"Authorization": f"Bearer {role.name}", **headers})
    return answer.status, (await answer.read()).decode("utf-8", "replace")


@pytest.mark.parametrize(
    "path", [f"/api/v1/state/{ENTITY}", f"/api/v1/history/{ENTITY}/{A}", f"/api/v1/record/{ENTITY}/{A}"]
)
async def test_a_viewer_does_not_see_it_and_an_operator_does(client: Client, path: str) -> None:
    status, text = await get(client, Role.VIEWER, path)
    assert status == 200
    assert SECRET not in text
    assert "masked" in text
    assert "Hot" in text
    assert SECRET in (await get(client, Role.OPERATOR, path))[1]


async def test_neither_another_form_nor_a_condition_goes_round_it(client: Client) -> None:
    assert SECRET not in (await get(client, Role.VIEWER, f"/api/v1/state/{ENTITY}", Accept=ARROW))[1]
    status, text = await get(client, Role.VIEWER, f"/api/v1/state/{ENTITY}?where=Name%20LIKE%20'4711%25'")
    assert status == 400
    assert "masked" in text
    status, _ = await get(client, Role.VIEWER, "/api/v1/query")
    assert status in (403, 405)
