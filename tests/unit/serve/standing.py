"""The API as it is served, before a small real journal: what it is told goes through a log of one line into it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cdc.answer import definitions as answer_sql
from cdc.answer.entity_views import refresh_entity_views
from cdc.change.masking import Masked
from cdc.journal.journal import DuckJournal
from cdc.metrics import Metrics
from cdc.ports.log import LogRecord
from cdc.recover import definitions as recover_sql
from cdc.recover.ledger import Ledger
from cdc.recover.recovery import Recovery
from cdc.serve.app import Door
from cdc.serve.auth import Role, Tokens
from cdc.serve.running import Runner
from tests.unit.journal.batches import T0, Change, alert, batch, description, full_state, lost, position
from tests.unit.journal.held import commit, opened

PATIENCE_S = 60.0
ENTITY = "Account"
HOSTILE = "<script>alert(1)</script>'; DROP TABLE store.changes; --"


def token_of(role: Role) -> str:
    return f"token-of-{role.name.lower()}"


@dataclass(slots=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/problem+json")


@dataclass(slots=True)
class Standing:
    """A served door; `told` is every record that was published."""

    door: Door
    journal: DuckJournal
    address: str
    told: list[LogRecord] = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: Role | None = Role.ADMIN,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """One request on a connection of its own; a body that is no text is sent as JSON."""
        host, _, port = self.address.rpartition(":")
        sent = {"Authorization": f"Bearer {token_of(role)}"} if role else {}
        connection = HTTPConnection(host, int(port), timeout=PATIENCE_S)
        try:
            if body is not None and not isinstance(body, bytes | str):
                body = json.dumps(body)
                sent["Content-Type"] = "application/json"
            connection.request(method, path, body, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Answered(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def rows(self, path: str, *, role: Role = Role.ADMIN, **given: str) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={quote(value)}" for name, value in given.items())
        answered = self.ask("GET", f"{path}?{query}" if query else path, role=role)
        assert answered.status == 200, answered.body
        columns = answered.json["columns"]
        return [dict(zip(columns, row, strict=True)) for row in answered.json["rows"]]


def tell_a_little(journal: DuckJournal) -> None:
    """Some records with a history, one of them hostile, a lost stretch and an alert."""
    changes = [
        full_state(1, 1, "scan", 0, {"Name": "one", "Industry": "Energy"}),
        full_state(2, 2, "scan", 0, {"Name": HOSTILE, "Industry": None}),
        *(Change(n, 1 + n % 2, said={"Name": f"name {n}"}, at=T0 + n * 1000) for n in range(3, 30)),
        Change(30, 3, kind="CREATE", said={"Name": "new", "Industry": "Energy"}, at=T0 + 31_000),
    ]
    control = [
        description(0, ENTITY, ["Name", "Industry"]),
        position(30, T0 + 60_000, T0),
        lost(30, "stretch", T0 - 9_000, T0 - 8_000),
        alert("a-1", 1, title=HOSTILE),
    ]
    commit(journal, batch(changes, control=control))


@contextlib.contextmanager
def standing(folder: Path, *, masked: Sequence[str] = (), is_bare: bool = False) -> Iterator[Standing]:
    """The door, served from a thread of its own, with a token for each role."""
    definitions = (*answer_sql.definitions(), *recover_sql.definitions())
    with opened(folder, definitions=definitions, on_fields=refresh_entity_views) as journal:
        if not is_bare:
            tell_a_little(journal)
        told: list[LogRecord] = []

        def publish(records: Sequence[LogRecord]) -> None:
            told.extend(records)
            offset = 1 + max(journal.checkpoint.offsets.values(), default=0)
            upto = int(journal.checkpoint.ordinal)
            journal.commit(batch(control=records, upto=upto, offset=offset)).result(PATIENCE_S)

        async def baseline(entity: str) -> str:
            return f"baseline-{entity}"

        digests = tuple((hashlib.sha256(token_of(role).encode()).digest(), role) for role in Role)
        door = Door(
            journal.reader,
            Tokens(digests),
            Metrics(),
            request_baseline=baseline,
            journal=journal,
            recovery=Recovery(Ledger(publish, journal.reader), folder / "restores", None),
            masked=Masked(masked),
        )
        with served(door) as address:
            yield Standing(door, journal, address, told)


@contextlib.contextmanager
def served(door: Door) -> Iterator[str]:
    """The address of the door while it is open."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="door")
    thread.start()
    runner = Runner(door, "127.0.0.1:0")

    async def close() -> None:
        if door.recovery is not None:
            await door.recovery.close()
        await runner.close()

    try:
        asyncio.run_coroutine_threadsafe(runner.open(), loop).result(PATIENCE_S)
        yield runner.address
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(PATIENCE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()
