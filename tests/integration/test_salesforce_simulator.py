"""Session, Pub/Sub source and REST org against a simulated org that shares no code with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from cdc.errors import (
    AuthRefused,
    CdcError,
    ChannelStopped,
    CursorExpired,
    DeliveryLimitReached,
    NotFound,
    OrgUnavailable,
    PositionLost,
    SourceUnavailable,
    Undecodable,
)
from cdc.ports.org import EntityDescription, RowState
from cdc.ports.source import Delivery, SourceEvent, Start
from cdc.ports.types import RecordId, ReplayId, SchemaId
from connectors.salesforce.grants import AuthMethod, Credentials
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.plan import Plan
from connectors.simulator.server import Simulator, SimulatorOptions
from tests.unit.salesforce.certificates import rsa_key

ALL = "/data/ChangeEvents"


@dataclass
class Side:
    """Both sides of the wire."""

    simulator: Simulator
    session: Session
    source: PubSubSource
    org: SalesforceOrg

    def update(self, ids: Sequence[str], **values: Any) -> None:
        changes = [Change("Account", Op.UPDATE, record_id, values) for record_id in ids]
        self.simulator.org.commit(changes, user_id=self.simulator.org.administrator_id, merge=False)

    @property
    def accounts(self) -> list[str]:
        return sorted(self.simulator.org.entities["Account"].records.live_ids())


Login = Callable[[Simulator], Credentials]


def by_secret(simulator: Simulator) -> Credentials:
    app = simulator.wire.app
    return Credentials(
        AuthMethod.CLIENT_CREDENTIALS,
        login_url=simulator.wire.instance_url,
        client_id=app.client_id,
        client_secret=Secret("client_secret", value=app.client_secret),
    )


@asynccontextmanager
async def connected(
    login: Login = by_secret, *, tls: Path | None = None, knobs: Knobs | None = None
) -> AsyncIterator[Side]:
    plan = Plan(users=5, records=600, knobs=knobs or Knobs.kind())
    host = "localhost" if tls else "127.0.0.1"
    simulator = Simulator(
        SimulatorOptions(f"{host}:0", f"{host}:0", tls_dir=str(tls) if tls else "", plan=plan)
    )
    await simulator.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(simulator.stop)
        ca_file = simulator.tls.ca_file if simulator.tls else ""
        session = Session(login(simulator), SessionOptions(ca_file=ca_file, login_interval_s=0))
        stack.push_async_callback(session.close)
        endpoint = simulator.wire.pubsub_address
        source = PubSubSource(
            session, PubSubOptions(endpoint, tls=tls is not None, ca_file=ca_file, dead_after_s=30)
        )
        stack.push_async_callback(source.close)
        await source.open()
        yield Side(simulator, session, source, SalesforceOrg(session))


async def step(stream: AsyncIterator[Delivery]) -> Delivery:
    async with asyncio.timeout(20):
        return await anext(stream)


async def take(stream: AsyncIterator[Delivery], count: int) -> list[SourceEvent]:
    taken: list[SourceEvent] = []
    while len(taken) < count:
        taken += (await step(stream)).events
    return taken


async def scanned(side: Side, entity: str) -> dict[str, RowState]:
    description = await side.org.describe(entity)
    names = [f.name for f in description.fields if not f.is_compound]
    soql = f"SELECT {', '.join(names)} FROM {entity} ORDER BY Id"
    pages = [page async for page in side.org.query(soql, deleted=True)]
    return {s.record_id: s for page in pages for s in states(side, description, page.rows)}


def states(side: Side, description: EntityDescription, rows: Sequence[Any]) -> list[RowState]:
    return [side.org.row_state(description, row) for row in rows]


async def test_every_way_of_logging_in_is_let_in(tmp_path: Path) -> None:
    pem, public = rsa_key()
    public_pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()

    def by_key(simulator: Simulator) -> Credentials:
        simulator.wire.app.jwt_keys.append(public_pem)
        return Credentials(
            AuthMethod.JWT,
            login_url=simulator.wire.instance_url,
            client_id=simulator.wire.app.client_id,
            private_key=Secret("private_key", value=pem),
            username=simulator.org.users[1]["username"],
        )

    def by_refresh_token(simulator: Simulator) -> Credentials:
        app = simulator.wire.app
        return Credentials(
            AuthMethod.REFRESH_TOKEN,
            login_url=simulator.wire.instance_url,
            client_id=app.client_id,
            client_secret=Secret("client_secret", value=app.client_secret),
            refresh_token=Secret(
                "refresh_token", value=simulator.wire.sessions.refresh_token(app.run_as, app.client_id)
            ),
        )

    def by_token(simulator: Simulator) -> Credentials:
        app = simulator.wire.app
        return Credentials(
            AuthMethod.ACCESS_TOKEN,
            access_token=Secret(
                "access_token", value=simulator.wire.sessions.open(app.run_as, app.client_id).access_token
            ),
            instance_url=simulator.wire.instance_url,
            org_id=simulator.org.org_id,
        )

    for login in (by_secret, by_key, by_refresh_token, by_token):
        async with connected(login) as side:
            token = await side.session.token()
            assert (token.instance_url, token.org_id) == (
                side.simulator.wire.instance_url,
                side.simulator.org.org_id,
            )
            assert (await side.org.describe("Account")).key_prefix == "001"


async def test_a_wrong_secret_is_refused_in_one_sentence() -> None:
    def wrong(simulator: Simulator) -> Credentials:
        return Credentials(
            AuthMethod.CLIENT_CREDENTIALS,
            login_url=simulator.wire.instance_url,
            client_id=simulator.wire.app.client_id,
            client_secret=Secret("client_secret", value="wrong-value"),
        )

    with pytest.raises(AuthRefused) as raised:
        async with connected(wrong):
            pass
    assert "client_id and its secret" in raised.value.sentence()
    assert "wrong-value" not in raised.value.sentence()


async def test_every_event_comes_once_and_in_order_with_a_schema_that_can_be_had() -> None:
    async with connected() as side:
        for number in range(40):
            side.update(side.accounts[:7], Industry=f"Industry {number}")
        published = [change.event_id for change in side.simulator.org.truth.changes()]
        taken = await take(side.source.deliveries(ALL, Start.EARLIEST), 280)
        assert [event.event_id for event in taken] == published
        for schema_id in {event.schema_id for event in taken}:
            assert '"AccountChangeEvent"' in await side.source.schema(SchemaId(schema_id))
        middle = taken[100].replay_id
        rest = await take(side.source.deliveries(ALL, middle), 179)
        assert [event.event_id for event in rest] == published[101:]


async def test_over_tls_both_roads_are_verified_with_the_extra_root(tmp_path: Path) -> None:
    async with connected(tls=tmp_path) as side:
        side.update(side.accounts[:1], Industry="Energy")
        assert len(await take(side.source.deliveries(ALL, Start.EARLIEST), 1)) == 1
        assert (await side.session.token()).instance_url.startswith("https://")


async def test_what_a_scan_reads_is_what_the_org_holds_under_the_names_that_events_use() -> None:
    async with connected() as side:
        side.update(side.accounts[:20], AnnualRevenue=1250000.5, Industry=None)
        org = side.simulator.org
        gone = [Change("Account", Op.DELETE, record_id) for record_id in side.accounts[:3]]
        org.commit(gone, user_id=org.administrator_id)
        for entity in org.entities:
            truth = org.truth.state(entity)
            rows = await scanned(side, entity)
            assert set(rows) == set(truth), entity
            for record_id, true in truth.items():
                row = rows[record_id]
                assert row.is_deleted == (true.status == "deleted")
                assert row.unknown == ()
                for path, value in true.fields.items():
                    if path in row.values or value is not None:
                        assert row.values[path] == value, (entity, record_id, path)


async def test_paths_of_a_description_are_the_paths_that_events_use() -> None:
    async with connected() as side:
        for entity in side.simulator.org.entities:
            described = {f.path for f in (await side.org.describe(entity)).fields if not f.is_compound}
            assert set(side.simulator.org.live_paths(entity)) <= described, entity


async def test_records_are_read_by_id_with_deleted_ones_and_without_those_gone_altogether() -> None:
    async with connected() as side:
        org, ids = side.simulator.org, [RecordId(i) for i in side.accounts[:190]]
        org.commit([Change("Account", Op.DELETE, ids[0])], user_id=org.administrator_id)
        org.commit([Change("Account", Op.HARD_DELETE, ids[1])], user_id=org.administrator_id)
        page = await side.org.read("Account", ids, ["Id", "IsDeleted", "Name"])
    assert {row["Id"] for row in page.rows} == set(ids) - {ids[1]}
    assert [row["Id"] for row in page.rows if row["IsDeleted"]] == [ids[0]]


async def test_channel_members_and_limits_are_the_orgs() -> None:
    async with connected() as side:
        side.simulator.org.set_channel("Team__chn", ["Contact"])
        members = {(member.channel, member.entity) for member in await side.org.members()}
        limits = await side.org.limits()
    assert ("/data/ChangeEvents", "Account") in members
    assert ("/data/Team__chn", "Contact") in members
    assert limits.delivered_max == side.simulator.org.knobs.delivered_max
    assert limits.api_max == side.simulator.org.knobs.api_calls_max


FAULTS: list[tuple[str, type[CdcError]]] = [
    ("stream_reset", SourceUnavailable),
    ("unavailable", SourceUnavailable),
    ("delivery_limit", DeliveryLimitReached),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
async def test_a_fault_of_the_bus_has_its_class_and_passes_without_loss(
    fault: str, kind: type[CdcError]
) -> None:
    async with connected() as side:
        side.update(side.accounts[:30], Industry="Energy")
        stream = side.source.deliveries(ALL, Start.EARLIEST)
        taken = await take(stream, 30)
        side.simulator.org.faults.set(fault)
        side.update(side.accounts[:30], Industry="Media")
        with pytest.raises(kind):
            await take(side.source.deliveries(ALL, taken[-1].replay_id), 1000)
        side.simulator.org.faults.clear()
        taken += await take(side.source.deliveries(ALL, taken[-1].replay_id), 30)
    assert len({event.event_id for event in taken}) == 60


async def test_a_revoked_session_is_renewed_on_both_roads() -> None:
    async with connected() as side:
        side.update(side.accounts[:1], Industry="Energy")
        first = await side.session.token()
        side.simulator.wire.sessions.revoke_all()
        assert (await side.org.describe("Account")).queryable
        assert (await side.session.token()).access_token != first.access_token
        side.simulator.wire.sessions.revoke_all()
        assert len(await take(side.source.deliveries(ALL, Start.EARLIEST), 1)) == 1


async def test_a_position_outside_the_retention_is_lost() -> None:
    async with connected() as side:
        side.update(side.accounts[:2], Industry="Energy")
        position = (await take(side.source.deliveries(ALL, Start.EARLIEST), 2))[0].replay_id
        side.simulator.org.faults.set("replay_expired")
        with pytest.raises(PositionLost):
            await step(side.source.deliveries(ALL, position))
        with pytest.raises(PositionLost):
            await step(side.source.deliveries(ALL, ReplayId(b"no position")))


async def test_channels_and_schemas_that_are_not_there_are_told_apart() -> None:
    async with connected() as side:
        with pytest.raises(ChannelStopped):
            await step(side.source.deliveries("/data/NothingChangeEvent", Start.LATEST))
        with pytest.raises(Undecodable):
            await side.source.schema(SchemaId("AAAAAAAAAAAAAAAAAAAAAA"))
        with pytest.raises(NotFound):
            await side.org.describe("Nothing__c")


async def test_a_scan_whose_cursor_ran_out_has_to_begin_again() -> None:
    async with connected() as side:
        for _ in range(5):
            new = [Change("Account", Op.CREATE, None, {"Name": f"Made {n}"}) for n in range(500)]
            side.simulator.org.commit(new, user_id=side.simulator.org.administrator_id)
        pages = side.org.query("SELECT Id FROM Account")
        first = await anext(pages)
        assert first.cursor is not None
        side.simulator.org.faults.set("locator_expired", times=1)
        with pytest.raises(CursorExpired):
            await anext(pages)
        again = [page async for page in side.org.query("SELECT Id FROM Account")]
        assert sum(len(page.rows) for page in again) == again[0].total


async def test_an_org_that_is_away_says_when_to_come_back() -> None:
    async with connected() as side:
        await side.session.token()
        side.simulator.org.faults.set("unavailable", retry_after=7)
        with pytest.raises(OrgUnavailable) as raised:
            await side.org.describe("Account")
    assert raised.value.retry_after_s == 7
