"""The control API under /simulator/: change records, start scenarios, set faults, move the clock.

For tests and demonstrations: JSON in and out, no session, answered to this machine only. What the org truly
did is in `control_truth`. Long work (`drip`, a live scenario) runs beside the answers; `"wait": true` answers
when it has ended.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import ipaddress
import json
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from aiohttp import web

from connectors.simulator import scenarios
from connectors.simulator.errors import BusError, OrgError
from connectors.simulator.ids import schema_id as schema_id_of
from connectors.simulator.incoming import python_value
from connectors.simulator.model import Change, Op
from connectors.simulator.rows import utc
from connectors.simulator.scenario import ScenarioRun
from connectors.simulator.wire import control_truth
from connectors.simulator.wire.answers import json_answer
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.control_automation import AutomationControl
from connectors.simulator.wire.oauth import public_key
from connectors.simulator.workload import Workload

JOBS_MAX = 100

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Handlers over one org and its workload; `close` ends what still runs beside them."""

    def __init__(
        self, wire: Wire, workload: Workload, restart_pubsub: Callable[[float], Awaitable[None]]
    ) -> None:
        self._restart_pubsub = restart_pubsub
        self._wire = wire
        self._org = wire.org
        self._workload = workload
        self._jobs: dict[asyncio.Task[Any], str] = {}
        self._runs: list[ScenarioRun] = []

    def routes(self) -> list[web.RouteDef]:
        """Where the control API lives."""
        post: list[tuple[str, Callable[[dict[str, Any]], Awaitable[Any]]]] = [
            ("commit", self._commit),
            ("play", self._play),
            ("drip", self._drip),
            ("scenario", self._scenario),
            ("faults", self._set_fault),
            ("clock", self._move_clock),
            ("schema", self._schema),
            ("raw", self._raw),
            ("platform-event", self._platform_event),
            ("knobs", self._set_knobs),
            ("channel", self._channel),
            ("restart-pubsub", self._restart),
            ("jwt-key", self._jwt_key),
            ("client-secret", self._client_secret),
            ("refresh-token", self._refresh_token),
            ("access-token", self._access_token),
        ]
        get: list[tuple[str, Callable[[], Any]]] = [
            ("status", self.status),
            ("faults", self._faults),
            ("clock", self._clock),
            ("scenarios", lambda: [_told(run) for run in self._runs]),
            ("knobs", lambda: dataclasses.asdict(self._org.knobs)),
        ]
        automation = AutomationControl(self._org)
        post += automation.posted()
        get += automation.asked()
        return [
            *(web.post(f"/simulator/{name}", local(_posted(handle))) for name, handle in post),
            *(web.get(f"/simulator/{name}", local(_asked(handle))) for name, handle in get),
            web.delete("/simulator/faults", local(self._clear_faults)),
            *control_truth.routes(local),
        ]

    async def close(self) -> None:
        """End drips and live scenarios."""
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside the answers. Raises ValueError when too much runs already."""
        if len(self._jobs) >= JOBS_MAX:
            work.close()
            raise ValueError(f"{JOBS_MAX} jobs run already")
        job = asyncio.create_task(work, name=name)
        self._jobs[job] = name
        job.add_done_callback(lambda done: self._jobs.pop(done, None) and None)
        return job

    def status(self) -> dict[str, Any]:
        """Addresses, the org in numbers, what runs and what is broken."""
        org = self._org
        return {
            "http": self._wire.instance_url,
            "pubsub": self._wire.pubsub_address,
            "org_id": org.org_id,
            "client_id": self._wire.app.client_id,
            "users": org.users,
            "records": {name: len(entity.records) for name, entity in org.entities.items()},
            "changes": len(org.truth),
            "pairs_published": org.truth.published_pairs,
            "duplicated_events": len(org.truth.duplicated),
            "delivered": org.usage.delivered,
            "api_usage": org.usage.api_usage,
            "streams_open": self._wire.streams_open,
            "members": [
                {"channel": channel, "entity": member.entity}
                for channel, member in org.bus.channels.members()
            ],
            "running": sorted(self._jobs.values()),
            "dripping": "drip" in self._jobs.values(),
            "faults": self._faults(),
            "clock": self._clock(),
        }

    async def _commit(self, body: dict[str, Any]) -> Any:
        changes = [self._change(one) for one in body.get("changes", ())]
        if not changes:
            raise ValueError("changes is an empty list")
        committed = self._org.commit(
            changes,
            user_id=self._user(body),
            origin=str(body.get("origin", "")),
            client=str(body.get("client", "")),
            changed_before_ms=int(body.get("changed_before_ms", 0)),
            merge=bool(body.get("merge", True)),
        )
        return {
            "transaction_key": committed.transaction.key,
            "commit_number": committed.transaction.number,
            "record_ids": committed.record_ids,
            "changes": len(self._org.truth),
            "events": [
                {
                    "event_id": event.event_id,
                    "entity": event.entity,
                    "kind": event.kind,
                    "record_ids": event.record_ids,
                    "sequence": event.sequence,
                    "committed_at": event.committed_at,
                }
                for event in committed.events
            ],
        }

    def _change(self, one: Mapping[str, Any]) -> Change:
        entity = self._org.entity(str(one["entity"]))
        values: dict[str, Any] = {}
        for path, value in (one.get("values") or {}).items():
            leaf = entity.leaves.get(path)
            if leaf is None:
                raise ValueError(f"{entity.name} has no field {path}; fields are named as in events")
            values[path] = tuple(value) if isinstance(value, list) else python_value(leaf, value)
        return Change(entity.name, Op(str(one.get("op", "UPDATE"))), one.get("record_id"), values)

    def _user(self, body: Mapping[str, Any]) -> str:
        wanted = body.get("user_id") or body.get("user")
        return scenarios.find_user(self._org, str(wanted)) if wanted else self._org.administrator_id

    async def _play(self, body: dict[str, Any]) -> Any:
        days = float(body.get("days", 0)) + float(body.get("hours", 0)) / 24
        if days <= 0:
            raise ValueError("days or hours: a number above 0")
        changed = await self._workload.play_beside(days)
        return {"changed": changed, "changes": len(self._org.truth), "clock": self._clock()}

    async def _drip(self, body: dict[str, Any]) -> Any:
        rate, seconds = float(body["rate"]), float(body["seconds"])
        job = self.start("drip", self._workload.drip(seconds, rate))
        if body.get("wait"):
            return {"changed": await job, "changes": len(self._org.truth)}
        return {"running": "drip"}

    async def _scenario(self, body: dict[str, Any]) -> Any:
        parameters = dict(body)
        name = str(parameters.pop("name"))
        live, wait = bool(parameters.pop("live", True)), bool(parameters.pop("wait", False))
        run = scenarios.start(self._org, name, **parameters)
        self._runs.append(run)
        if not live:
            scenarios.play(self._org, run)
        else:
            job = self.start(name, scenarios.live(self._org, run))
            if wait:
                await job
        return _told(run)

    async def _set_fault(self, body: dict[str, Any]) -> Any:
        parameters = dict(body)
        name = str(parameters.pop("name"))
        times = parameters.pop("times", None)
        self._org.faults.set(name, times=int(times) if times is not None else None, **parameters)
        return self._faults()

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._org.faults.clear(request.query.get("name"))
        return json_answer(self._faults())

    def _faults(self) -> list[dict[str, Any]]:
        return [
            {"name": fault.name, "parameters": dict(fault.parameters), "left": fault.left}
            for fault in self._org.faults.listed()
        ]

    async def _channel(self, body: dict[str, Any]) -> Any:
        """Select entities on a channel: `{channel, entities, enriched, filters}`, as an administrator does."""
        self._org.set_channel(
            str(body.get("channel", "ChangeEvents")),
            [str(name) for name in body["entities"]],
            enriched=body.get("enriched") or {},
            filters=body.get("filters") or {},
        )
        return {"members": self.status()["members"]}

    async def _restart(self, body: dict[str, Any]) -> Any:
        await self._restart_pubsub(float(body.get("away_s", 0)))
        return {"pubsub": self._wire.pubsub_address}

    async def _move_clock(self, body: dict[str, Any]) -> Any:
        clock = self._org.clock
        if "speed" in body:
            clock.speed = float(body["speed"])
        if "to_ms" in body:
            clock.advance_to(int(body["to_ms"]))
        if "advance_ms" in body:
            clock.advance(int(body["advance_ms"]))
        return self._clock()

    def _clock(self) -> dict[str, Any]:
        now = self._org.clock.now_ms()
        return {"now_ms": now, "now": utc(now).isoformat(), "speed": self._org.clock.speed}

    async def _schema(self, body: dict[str, Any]) -> Any:
        schema_id = self._org.change_schema(
            str(body["entity"]),
            add=[str(line) for line in body.get("add", ())],
            remove=[str(name) for name in body.get("remove", ())],
            retype=body.get("retype") or {},
        )
        return {"schema_id": schema_id}

    async def _raw(self, body: dict[str, Any]) -> Any:
        """A given payload with its own schema; without `schema_id` the schema's own is made from its text."""
        topic = str(body["topic"])
        entity = next(iter(self._org.bus.channels.topic(topic).members), "")
        if not self._org.bus.channels.topic(topic).single or not entity:
            raise ValueError(f"{topic} is not the topic of one selected entity")
        schema = body["schema_json"]
        schema_json = schema if isinstance(schema, str) else json.dumps(schema)
        schema_id = str(body.get("schema_id") or schema_id_of(schema_json))
        self._org.register_schema(schema_id, schema_json)
        event_id = str(body.get("event_id") or uuid.uuid4())
        self._org.publish_raw(
            entity,
            schema_id,
            base64.b64decode(str(body["payload_base64"]), validate=True),
            event_id=event_id,
            record_ids=[str(one) for one in body.get("record_ids", ())],
            kind=str(body.get("kind", "UPDATE")),
            committed_at=int(body.get("committed_at", 0)),
        )
        return {"event_id": event_id, "schema_id": schema_id, "replay_id": self._newest()}

    async def _platform_event(self, body: dict[str, Any]) -> Any:
        made = self._org.publish_platform_event(
            str(body["name"]), body.get("values") or {}, user_id=self._user(body)
        )
        return {"event_id": made.event_id, "replay_id": self._newest()}

    def _newest(self) -> str:
        return self._org.bus.newest_replay_id().hex()

    async def _set_knobs(self, body: dict[str, Any]) -> Any:
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in body.items()
        }
        self._org.knobs = dataclasses.replace(self._org.knobs, **given)
        return dataclasses.asdict(self._org.knobs)

    async def _jwt_key(self, body: dict[str, Any]) -> Any:
        public_key(str(body["pem"]))
        self._wire.app.jwt_keys.append(str(body["pem"]))
        return {"client_id": self._wire.app.client_id, "users": self._org.users}

    async def _client_secret(self, body: dict[str, Any]) -> Any:
        """Rotate the app's secret: from now on a login needs this one; sessions stay."""
        self._wire.app.client_secret = str(body["client_secret"])
        return {"client_id": self._wire.app.client_id}

    async def _refresh_token(self, body: dict[str, Any]) -> Any:
        return {"refresh_token": self._wire.sessions.refresh_token(*self._login(body))}

    async def _access_token(self, body: dict[str, Any]) -> Any:
        return {"access_token": self._wire.sessions.open(*self._login(body)).access_token}

    def _login(self, body: Mapping[str, Any]) -> tuple[str, str]:
        wanted = body.get("user") or self._org.integration_user_id
        return scenarios.find_user(self._org, str(wanted)), self._wire.app.client_id


def _told(run: ScenarioRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "user_id": run.user_id,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "records": run.records,
        "transaction_keys": run.transaction_keys,
        "edit_keys": run.edit_keys,
        "automations": run.automations,
    }


def local(handler: Handler) -> Handler:
    """Answers this machine only, and says in one sentence what is wrong with a request."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if not is_loopback(request.remote or ""):
            return json_answer({"error": "the control API answers this machine only"}, status=403)
        try:
            return await handler(request)
        except KeyError as error:
            return json_answer({"error": f"{error.args[0]} is missing or not known"}, status=400)
        except (OrgError, BusError, ValueError, TypeError, binascii.Error) as error:
            return json_answer({"error": str(error)}, status=400)

    return handle


def is_loopback(address: str) -> bool:
    """Whether an address of a peer is this machine's own."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _posted(handle: Callable[[dict[str, Any]], Awaitable[Any]]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read() or b"{}")
        if not isinstance(body, dict):
            raise ValueError("the body must be a JSON object")
        return json_answer(await handle(body))

    return handler


def _asked(handle: Callable[[], Any]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return json_answer(handle())

    return handler
