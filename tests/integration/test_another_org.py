"""Another Salesforce, with faults of its own: whatever it does, every event is recorded once and every row is read."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web

from cdc.capture.options import CaptureOptions
from cdc.capture.recorder import Recorder
from cdc.log.embedded import EmbeddedLog
from cdc.metrics import Metrics
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogRecord
from cdc.ports.source import Start
from connectors.salesforce.grants import AuthMethod, Credentials
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions
from schemas import own
from tests.integration.faulty_org import API, CHANNEL, FaultyOrg, Mood, faulty_org, hangs, said, serve_bus
from tests.unit.capture.recording import fast_clock, until

SPEED = 400
PATIENCE_S = 60.0
IDS = [f"500{n:012d}AAA" for n in range(9)]


@dataclass
class Recording:
    org: FaultyOrg
    recorder: Recorder
    log: EmbeddedLog
    task: asyncio.Task[None]

    def records(self) -> list[LogRecord]:
        out: list[LogRecord] = []
        batches = self.log.batches(Checkpoint(), idle_s=0.02)
        for batch in batches:
            if not batch.records:
                break
            out += batch.records
        assert isinstance(batches, Generator)
        batches.close()
        return out

    def changes(self) -> list[LogRecord]:
        return [r for r in self.records() if r.topic not in CONTROL_TOPICS and r.channel]

    def states(self) -> list[LogRecord]:
        return [r for r in self.records() if r.topic not in CONTROL_TOPICS and not r.channel]

    def jobs(self) -> dict[str, str]:
        return {
            told["job_id"]: told["state"]
            for told in (own.decode("job", r.value) for r in self.records() if r.topic == "jobs")
        }

    async def recorded(self, count: int) -> None:
        """Until so many changes are in the log; an end of the recorder is told at once."""

        def enough() -> bool:
            if self.task.done():
                self.task.result()
            return len(self.changes()) >= count

        await until(enough, PATIENCE_S)


@asynccontextmanager
async def recording(folder: Path, org: FaultyOrg, **options: Any) -> AsyncIterator[Recording]:
    async with faulty_org(org):
        credentials = Credentials(
            AuthMethod.CLIENT_CREDENTIALS,
            login_url=org.url,
            client_id="client",
            client_secret=Secret("client_secret", value="secret"),
        )
        clock = fast_clock(SPEED)
        session = Session(credentials, SessionOptions(login_interval_s=0, request_timeout_s=0.5), clock=clock)
        pubsub = PubSubOptions(org.endpoint, tls=False, dead_after_s=1.5, call_timeout_s=1.0)
        log = EmbeddedLog("acme", str(folder / "log.sqlite"))
        rest = SalesforceOrg(session, clock=clock)
        given = {"start": Start.EARLIEST, "baseline": False, **options}
        recorder = Recorder(
            CaptureOptions(org="acme", owner="test", channels=(CHANNEL,), **given),
            log, PubSubSource(session, pubsub), rest, Metrics(), clock, rest.bulk,
        )  # fmt: skip
        stop = asyncio.Event()
        task = asyncio.create_task(recorder.run(stop))
        try:
            yield Recording(org, recorder, log, task)
        finally:
            stop.set()
            await asyncio.wait({task}, timeout=20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            log.close()
            await session.close()


def dies(name: str, **given: Any) -> Mood:
    return Mood(name, dies_after=5, **given)


CODE = "sfdc.platform.eventbus.grpc."
MOODS: dict[str, list[Mood]] = {
    "trailers": [
        dies("none"),
        dies("blank", trailers=(("error-code", ""),)),
        dies("padded", trailers=(("error-code", f"  {CODE}service.unavailable \t"),)),
        dies("twice", trailers=(("error-code", "x"), ("error-code", f"{CODE}service.unavailable"))),
        dies("binary", trailers=(("error-code-bin", b"\xff\xfe"), ("rpc-id", "1"))),
        dies("other-prefix", trailers=(("error-code", "com.other.service.unavailable"),)),
        dies("long", trailers=(("error-code", "z" * 3000),), details="y" * 3000),
    ],
    "statuses": [
        dies(status.name, status=status, details="")
        for status in grpc.StatusCode
        if status not in (grpc.StatusCode.OK, grpc.StatusCode.UNIMPLEMENTED)
    ],
    "ends": [dies("half closed", half_closes=True), dies("half closed again", half_closes=True)],
    "keepalives": [
        Mood("blank", keepalives=2, keepalive_position=b"", dies_after=4),
        Mood("many", keepalives=30, dies_after=4),
        Mood("odd", keepalives=1, keepalive_position=b"\x00\xff" + b"\x00" * 9 + b"\x00", dies_after=4),
    ],
    "credit": [
        Mood("negative", pending=-7, dies_after=4),
        Mood("boundless", pending=2**31 - 1, dies_after=4),
        Mood("none told", pending=0, dies_after=4),
        Mood("ignored", ignores_credit=True, batch=500, dies_after=4),
        Mood("one by one", batch=1, dies_after=4),
    ],
    "repeats": [
        Mood("under another position", repeats=True, dies_after=6),
        Mood("what came before", again=True, dies_after=6),
    ],
    "newer protocol": [Mood("unknown fields", extra_fields=True, dies_after=5)],
}


@pytest.mark.parametrize("kind", MOODS)
async def test_whatever_its_streams_do_every_change_is_recorded_once_and_in_order(
    kind: str, tmp_path: Path
) -> None:
    org = FaultyOrg(moods=deque(MOODS[kind]))
    async with recording(tmp_path, org) as one:
        count = 0
        while org.moods or count < 3:
            count += 1
            for n in range(4):  # events of a transaction come over several answers
                org.publish(*IDS[n : n + 1 + n % 3], subject=f"{count}.{n}")
            await one.recorded(len(org.published))
        for _ in range(3):
            org.publish(IDS[0])
        await one.recorded(len(org.published))
        assert [(r.event_id, r.key) for r in one.changes()] == org.published
        assert not [r for r in one.changes() if r.topic == "quarantine"]
        ordinals = [r.ordinal for r in one.records() if r.topic not in CONTROL_TOPICS]
        assert ordinals == list(range(1, len(ordinals) + 1))


async def test_events_without_an_id_are_each_recorded(tmp_path: Path) -> None:
    org = FaultyOrg(moods=deque([Mood("no ids", no_ids=True)] * 3))
    async with recording(tmp_path, org) as one:
        for n in range(12):
            org.publish(IDS[n % 3])
        await one.recorded(12)
        assert len({r.event_id for r in one.changes()}) == 12


async def test_a_service_without_topics_and_with_schemas_now_and_then_is_recorded(tmp_path: Path) -> None:
    org = FaultyOrg(topics_known=False, schema_failures=3)
    async with recording(tmp_path, org) as one:
        org.publish(IDS[0])
        org.publish(IDS[1], IDS[2])
        await one.recorded(3)
        assert [(r.event_id, r.key) for r in one.changes()] == org.published


async def test_a_service_that_goes_away_and_comes_back_at_its_address_goes_on(tmp_path: Path) -> None:
    """GOAWAY on every stream, or none; connections refused for a while; then the same port again."""
    org = FaultyOrg()
    async with recording(tmp_path, org) as one:
        org.publish(IDS[0])
        await one.recorded(1)
        for n in range(3):
            await org.server.stop(0.05 if n % 2 else None)
            org.publish(IDS[n])
            await serve_bus(org, org.endpoint)
            org.publish(IDS[n + 1])
            await one.recorded(len(org.published))
        assert [(r.event_id, r.key) for r in one.changes()] == org.published


# -- REST -------------------------------------------------------------------------------------------------


def text(status: int, content: str, **headers: str) -> Callable[[web.Request], web.Response]:
    return lambda _: web.Response(status=status, text=content, headers=headers)


def cut(_: web.Request) -> web.Response:
    answer = said({"totalSize": 3})
    answer.headers["Content-Length"] = "100000"
    return answer


def well(_: web.Request) -> None:
    return None


FAULTS: dict[str, Callable[[web.Request], Any]] = {
    "html": text(503, "<html>maintenance</html>", **{"Content-Type": "text/html"}),
    "html that is well": text(200, "<html>sign in</html>", **{"Content-Type": "text/html"}),
    "too many, for a number": lambda _: said([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": ""}], 429, **{"retry-after": "2"}),
    "too many, for a date": lambda _: said({}, 429, **{"Retry-After": "Wed, 25 Nov 2026 10:00:00 GMT"}),
    "gateway": text(502, ""),
    "no list": lambda _: said({"error": "unknown"}, 500),
    "null": lambda _: said(None),
    "a number": lambda _: said(7),
    "empty": text(200, ""),
    "elsewhere": lambda _: web.Response(status=302, headers={"Location": "https://example.com/"}),
    "session": lambda _: said([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401),
    "rows that are none": lambda _: said({"totalSize": 2, "done": True, "records": ["a", None]}),
    "a page that is its own next": lambda r: said(
        {"totalSize": 9, "done": False, "records": [], "nextRecordsUrl": r.path if "/query/" in r.path else f"{API}/query/0r8FAULTY00000001-0"}
    ),
    "cut short": cut,
    "silence": hangs,
}  # fmt: skip


def cases(count: int) -> list[dict[str, Any]]:
    """Rows with what CSV and JSON stumble over."""
    nasty = [
        'quote " and ""',
        "line\nbreak\r\nand more",
        "comma, semicolon; tab\t",
        "",
        "ÄÖ \U0001f4a9",
        "#N/A",
        "=1+1",
        " ",
    ]
    return [
        {
            "Id": f"500{n:012d}AAA",
            "Subject": nasty[n % len(nasty)] or None,
            "IsDeleted": False,
            "SystemModstamp": "2026-11-23T10:00:00.000+0000",
        }
        for n in range(count)
    ]  # fmt: skip


async def read_in_full(one: Recording, job: str = "baseline-Case") -> dict[str, Any]:
    def ended() -> bool:
        if one.task.done():
            one.task.result()
        return any(state == "ended" for name, state in one.jobs().items() if name.startswith(job))

    await until(ended, PATIENCE_S)
    found = [own.decode("record_state", r.value) for r in one.states()]
    return {state["record_id"]: state["values"].get("Subject") for state in found}


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_its_answers_are_the_baseline_ends_with_every_row(fault: str, tmp_path: Path) -> None:
    """The fault comes at every second call, whatever is asked."""
    org = FaultyOrg(rows=cases(8), answers=deque([well, FAULTS[fault]] * 5))
    async with recording(tmp_path, org, baseline=True, bulk_from_rows=1000) as one:
        org.publish(IDS[0])
        org.publish(IDS[1])
        read = await read_in_full(one)
        assert read == {row["Id"]: row["Subject"] for row in org.rows}
        await one.recorded(2)


CSV: dict[str, dict[str, Any]] = {
    "a byte order mark": {"bulk_bytes": lambda content: b"\xef\xbb\xbf" + content},
    "no count": {"bulk_headers": lambda h: {"sforce-locator": h["Sforce-Locator"]}},
    "an empty locator at the end": {
        "bulk_headers": lambda h: h | {"Sforce-Locator": h["Sforce-Locator"].replace("null", "")}
    },
    "a locator in capitals at the end": {
        "bulk_headers": lambda h: h | {"Sforce-Locator": h["Sforce-Locator"].replace("null", "NULL")}
    },
    "compressed": {"bulk_bytes": gzip.compress, "bulk_headers": lambda h: h | {"Content-Encoding": "gzip"}},
    "a state nobody knows": {"bulk_states": deque([{"state": "Queued"}, {"state": "InProgress"}])},
    "aborted": {"bulk_states": deque([{"state": "Aborted"}])},
    "failed": {"bulk_states": deque([{"state": "Failed", "errorMessage": "InternalServerError"}])},
    "failed for no reason": {"bulk_states": deque([{"state": "Failed", "errorMessage": None}])},
}


@pytest.mark.parametrize("oddity", CSV)
async def test_whatever_its_bulk_jobs_do_the_baseline_ends_with_every_row(
    oddity: str, tmp_path: Path
) -> None:
    org = FaultyOrg(rows=cases(11), **CSV[oddity])
    async with recording(tmp_path, org, baseline=True, bulk_from_rows=1) as one:
        org.publish(IDS[0])
        org.publish(IDS[1])
        read = await read_in_full(one)
        assert read == {row["Id"]: row["Subject"] for row in org.rows}
        assert max(Counter(r.key for r in one.states()).values()) == 1
