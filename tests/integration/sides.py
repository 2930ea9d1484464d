"""Both sides of the wire for tests about reading and writing: a simulated org, and our connector logged in to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from cdc.ports.clock import Clock
from cdc.ports.org import EntityDescription, Page, RowState
from cdc.ports.orgwriter import WriteResult
from connectors.salesforce.grants import AuthMethod, Credentials
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions
from connectors.salesforce.writing import SalesforceWriter
from connectors.simulator.command import running_simulator
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.plan import Plan
from connectors.simulator.server import Simulator
from connectors.simulator.truth import TrueChange
from connectors.simulator.wire.context import WireOptions


@dataclass
class Sides:
    simulator: Simulator
    org: SalesforceOrg
    writer: SalesforceWriter

    @property
    def truth(self) -> SimulatedOrg:
        """The simulated org itself."""
        return self.simulator.org

    def ids(self, entity: str) -> list[Any]:
        return sorted(self.truth.entities[entity].records.live_ids())

    def value(self, entity: str, record_id: str, path: str) -> Any:
        record = self.truth.entities[entity].records.get(record_id)
        assert record is not None
        return record.values.get(path)

    def commit(self, entity: str, op: Op, ids: Sequence[str], **values: Any) -> None:
        changes = [Change(entity, op, record_id, values) for record_id in ids]
        self.truth.commit(changes, user_id=self.truth.administrator_id)

    def changes(self, after: int = 0) -> list[TrueChange]:
        return self.truth.truth.changes(after)

    async def control(self, path: str, body: Any) -> Any:
        """The control API, as a test in another process would use it."""
        url = f"{self.simulator.wire.instance_url}/simulator/{path}"
        async with aiohttp.ClientSession() as http, http.post(url, json=body) as answer:
            said = await answer.json()
            assert answer.status == 200, said
            return said

    def states(self, description: EntityDescription, pages: Sequence[Page]) -> dict[str, RowState]:
        rows = [self.org.row_state(description, row) for page in pages for row in page.rows]
        return {state.record_id: state for state in rows}


@asynccontextmanager
async def sides(
    records: int = 300, knobs: Knobs | None = None, *, bulk_page_rows: int = 10_000, **session: Any
) -> AsyncIterator[Sides]:
    """A small org and a connector that does not wait between logins and polls."""
    plan = Plan(users=5, records=records, knobs=knobs or Knobs.kind())
    async with running_simulator(plan=plan, wire=WireOptions(bulk_page_rows=bulk_page_rows)) as simulator:
        app = simulator.wire.app
        credentials = Credentials(
            AuthMethod.CLIENT_CREDENTIALS,
            login_url=simulator.wire.instance_url,
            client_id=app.client_id,
            client_secret=Secret("client_secret", value=app.client_secret),
        )
        options = SessionOptions(login_interval_s=0, **session)
        async with Session(credentials, options) as logged_in:
            org = SalesforceOrg(logged_in, clock=Clock(), max_api_calls_per_day=100_000)
            yield Sides(simulator, org, SalesforceWriter(org.rest))


async def all_pages(pages: AsyncIterator[Page]) -> list[Page]:
    return [page async for page in pages]


async def all_results(results: AsyncIterator[WriteResult]) -> list[WriteResult]:
    return [result async for result in results]
