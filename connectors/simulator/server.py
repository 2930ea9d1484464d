"""The whole simulator: an org, its HTTP server, its Pub/Sub server, and what happens to it while they run.

States: *made* (the org has its records and its past), *listening* (both addresses are known), *living*
(drips and planned scenarios run), *stopped*.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from cdc.errors import PortTaken, SettingsError
from connectors.simulator import scenarios
from connectors.simulator.clock import DAY_MS, DEFAULT_START_MS, SimClock
from connectors.simulator.errors import OrgError
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.plan import Plan, PlannedScenario
from connectors.simulator.standard_automation import add_standard
from connectors.simulator.wire.context import Wire, WireOptions
from connectors.simulator.wire.control import Control, is_loopback
from connectors.simulator.wire.http import http_application
from connectors.simulator.wire.managed import ManagedSubscriptions
from connectors.simulator.wire.oauth import public_key
from connectors.simulator.wire.pubsub import pubsub_server
from connectors.simulator.wire.sessions import ConnectedApp
from connectors.simulator.wire.tls import Tls
from connectors.simulator.workload import Workload

FOREVER_S = 10.0 * 365 * 24 * 3600
RESTART_GRACE_S = 0.05
STOP_GRACE_S = 0.5  # live streams are cut then, as a restart of the service would


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """Where to listen and what to be. Addresses are HOST:PORT, port 0 for any free one."""

    listen: str = "127.0.0.1:8443"
    pubsub_listen: str = "127.0.0.1:7443"
    tls_dir: str | Path | None = None  # None: plain text, for loopback only
    seed: int = 1
    plan: Plan = field(default_factory=Plan)
    faults: tuple[str, ...] = ()  # NAME[:key=value,…]
    client_id: str = ""  # empty: drawn at random, like the secret
    client_secret: str = ""
    jwt_keys: tuple[str, ...] = ()  # PEM
    wire: WireOptions = field(default_factory=WireOptions)


class Simulator:
    """`start` to listen, `stop` to end. `org`, `workload`, `wire` are there from the beginning."""

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.tls = Tls.in_directory(options.tls_dir) if options.tls_dir else None
        self.org, self.workload = made_org(options.seed, options.plan)
        app = ConnectedApp.generated(
            self.org.integration_user_id,
            client_id=options.client_id,
            client_secret=options.client_secret,
        )
        for pem in options.jwt_keys:
            app.jwt_keys.append(_checked_key(pem))
        self.wire = Wire(self.org, app, options.wire)
        for spec in options.faults:
            set_fault(self.org, spec)
        self._managed = ManagedSubscriptions(self.wire)
        self._control = Control(self.wire, self.workload, self.restart_pubsub)
        self._runner: web.AppRunner | None = None
        self._pubsub: Any = None

    @property
    def ready(self) -> dict[str, Any]:
        """What a client needs to know."""
        return {
            "http": self.wire.instance_url,
            "pubsub": self.wire.pubsub_address,
            "tls": self.tls is not None,
            "ca_file": str(self.tls.ca_file) if self.tls else "",
            "org_id": self.org.org_id,
            "client_id": self.wire.app.client_id,
            "client_secret": self.wire.app.client_secret,
            "username": self.org.users[1]["username"],
            "password": self.wire.app.password,
        }

    async def start(self) -> None:
        """Listen and live. Errors: PortTaken, SettingsError."""
        try:
            await self._listen_pubsub()
            await self._listen_http()
        except BaseException:
            await self.stop()
            raise
        plan = self.options.plan
        if plan.drip:
            self._control.start("drip", self.workload.drip(FOREVER_S, plan.drip))
        for planned in plan.scenarios:
            self._control.start(planned.name, self._later(planned))

    async def stop(self) -> None:
        """End what runs, close both servers."""
        await self._control.close()
        if self._pubsub is not None:
            await self._pubsub.stop(STOP_GRACE_S)
            self._pubsub = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _listen_pubsub(self) -> None:
        host, port = address_of(self.options.pubsub_listen, "--pubsub-listen", tls=self.tls is not None)
        server, bound = pubsub_server(self.wire, self._managed, self.tls, f"{bracketed(host)}:{port}")
        if not bound:
            raise _taken(self.options.pubsub_listen, "--pubsub-listen")
        self._pubsub = server
        await server.start()
        self.wire.pubsub_address = f"{bracketed(host)}:{bound}"

    async def restart_pubsub(self, away_s: float = 0.0) -> None:
        """The event service goes away with a GOAWAY to all who are connected, and comes back at the same address."""
        if self._pubsub is not None:
            await self._pubsub.stop(RESTART_GRACE_S)
            self._pubsub = None
        await asyncio.sleep(away_s)
        server, bound = pubsub_server(self.wire, self._managed, self.tls, self.wire.pubsub_address)
        if not bound:
            raise _taken(self.wire.pubsub_address, "--pubsub-listen")
        self._pubsub = server
        await server.start()

    async def _listen_http(self) -> None:
        host, port = address_of(self.options.listen, "--listen", tls=self.tls is not None)
        app = http_application(self.wire, self._managed, self._control)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_GRACE_S)
        self._runner = runner
        await runner.setup()
        context = self.tls.http_context() if self.tls else None
        site = web.TCPSite(runner, host, port, ssl_context=context)
        try:
            await site.start()
        except OSError:
            raise _taken(self.options.listen, "--listen") from None
        bound = runner.addresses[0][1]
        self.wire.instance_url = f"{'https' if self.tls else 'http'}://{bracketed(host)}:{bound}"

    async def _later(self, planned: PlannedScenario) -> None:
        await asyncio.sleep(planned.after_s)
        run = scenarios.start(self.org, planned.name, **planned.parameters)
        await scenarios.live(self.org, run)


def made_org(seed: int, plan: Plan) -> tuple[SimulatedOrg, Workload]:
    """An org with its records, that has lived through the days of its plan."""
    start_ms = DEFAULT_START_MS - int(plan.days * DAY_MS) if plan.start_ms is None else plan.start_ms
    clock = SimClock(start_ms, speed=plan.speed)
    org = SimulatedOrg(seed, plan.knobs, clock)
    workload = Workload(org, users=plan.users, records=plan.records, changes_per_day=plan.changes_per_day)
    workload.populate()
    if plan.days:
        workload.play(plan.days)
    automate(org, plan)
    return org, workload


def automate(org: SimulatedOrg, plan: Plan) -> None:
    """The rules and flows of a plan. Errors: SettingsError for one that makes no sense in this org."""
    if plan.automation == "standard":
        add_standard(org)
        return
    for given in plan.automation:
        assert isinstance(given, Mapping)
        try:
            org.automation.add(str(given["kind"]), {key: one for key, one in given.items() if key != "kind"})
        except (KeyError, TypeError, ValueError, OrgError) as error:
            raise SettingsError(
                f"the automation cannot be added: {error}",
                where=f"automation {given.get('name', '')}",
                do="see connectors/simulator/automation.py for its fields",
            ) from None


def set_fault(org: SimulatedOrg, spec: str) -> None:
    """Turn on a fault given as NAME or NAME:key=value,key=value. Errors: SettingsError."""
    name, _, rest = spec.partition(":")
    parameters: dict[str, Any] = {}
    try:
        for part in filter(None, rest.split(",")):
            key, equals, value = part.partition("=")
            if not equals:
                raise ValueError(f"{part!r} is not key=value")
            parameters[key.strip()] = int(value) if value.strip().isdigit() else value.strip()
        times = parameters.pop("times", None)
        org.faults.set(name, times=times, **parameters)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"the fault cannot be set: {error}",
            where=f"--fault {spec}",
            do="write it like stream_reset:after=500,times=3",
        ) from None


def _checked_key(pem: str) -> str:
    try:
        public_key(pem)
    except ValueError:
        raise SettingsError(
            "the key cannot be used", where="--jwt-key", do="give an RSA public key or certificate as PEM"
        ) from None
    return pem


def address_of(text: str, option: str, *, tls: bool) -> tuple[str, int]:
    """HOST:PORT. Errors: SettingsError for a malformed one, or plain text on an address of the network."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise SettingsError(
            "this address is not HOST:PORT", where=f"{option} {text}", do="write it like 127.0.0.1:8443"
        )
    if not tls and host != "localhost" and not is_loopback(host):
        raise SettingsError(
            "the simulator speaks plain text on a loopback address only",
            where=f"{option} {text}",
            do="listen on 127.0.0.1, or give --tls DIR",
        )
    return host, int(port)


def bracketed(host: str) -> str:
    """A host as it stands before a port: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _taken(address: str, option: str) -> PortTaken:
    return PortTaken(
        "the address is in use or cannot be listened on",
        where=f"{option} {address}",
        do="stop what listens there, or name another port (0 for any free one)",
    )
