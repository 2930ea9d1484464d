"""The simulator as a program, and as a context manager for tests.

`python -m connectors.simulator` runs until SIGINT or SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.errors import CdcError, SettingsError
from connectors.simulator.plan import Plan, read_plan
from connectors.simulator.server import Simulator, SimulatorOptions
from connectors.simulator.wire.context import WireOptions


@asynccontextmanager
async def running_simulator(**options: Any) -> AsyncIterator[Simulator]:
    """A simulator on free loopback ports, stopped at the end. Takes fields of SimulatorOptions.

    The result has `ready` (addresses, client id and secret), `org`, `workload` and `wire`.
    """
    defaults: dict[str, Any] = {"listen": "127.0.0.1:0", "pubsub_listen": "127.0.0.1:0"}
    simulator = Simulator(SimulatorOptions(**{**defaults, **options}))
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


async def run(
    *,
    listen: str = "127.0.0.1:8443",
    pubsub_listen: str = "127.0.0.1:7443",
    tls_dir: str | Path | None = None,
    seed: int = 1,
    workload: str | Path | None = None,
    faults: Sequence[str] = (),
    keepalive_s: float = 60.0,
    client_id: str = "",
    client_secret: str = "",
    jwt_keys: Sequence[str] = (),
    ready_json: bool = False,
) -> None:
    """Run until told to stop by SIGINT or SIGTERM; without a workload file the org's time is the real one.

    Errors: PortTaken, SettingsError.
    """
    plan = read_plan(workload) if workload else Plan(start_ms=time.time_ns() // 1_000_000)
    simulator = Simulator(
        SimulatorOptions(
            listen=listen,
            pubsub_listen=pubsub_listen,
            tls_dir=tls_dir,
            seed=seed,
            plan=plan,
            faults=tuple(faults),
            client_id=client_id,
            client_secret=client_secret,
            jwt_keys=tuple(jwt_keys),
            wire=WireOptions(keepalive_s=keepalive_s),
        )
    )
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, told.set)
    await simulator.start()
    try:
        for line in _ready_lines(simulator, ready_json=ready_json):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await told.wait()
    finally:
        await simulator.stop()


def _ready_lines(simulator: Simulator, *, ready_json: bool) -> list[str]:
    ready = simulator.ready
    if ready_json:
        return [json.dumps(ready)]
    records = sum(len(entity.records) for entity in simulator.org.entities.values())
    lines = [
        f"Simulated org {ready['org_id']}: {records} records, {len(simulator.org.truth)} changes so far",
        f"  login and REST  {ready['http']}",
        f"  Pub/Sub         {ready['pubsub']}{' (TLS)' if ready['tls'] else ' (plain text)'}",
        f"  client id       {ready['client_id']}",
        f"  client secret   {ready['client_secret']}",
        f"  control         {ready['http']}/simulator/status",
    ]
    if ready["tls"]:
        lines.append(f"  trust root      {ready['ca_file']}")
    return lines


def simulator(
    listen: Annotated[str, typer.Option(help="HOST:PORT of login and REST")] = "127.0.0.1:8443",
    pubsub_listen: Annotated[str, typer.Option(help="HOST:PORT of the Pub/Sub API")] = "127.0.0.1:7443",
    tls: Annotated[str, typer.Option(help="Directory for a throw-away CA and certificate")] = "",
    seed: Annotated[int, typer.Option(help="What everything random comes from")] = 1,
    workload: Annotated[str, typer.Option(help="TOML or JSON file: size, past, drip, scenarios")] = "",
    fault: Annotated[list[str] | None, typer.Option(help="NAME[:key=value,…], several times")] = None,
    keepalive_s: Annotated[float, typer.Option(help="Seconds between empty responses")] = 60.0,
    client_id: Annotated[str, typer.Option(help="Of the connected app; left out: drawn")] = "",
    client_secret: Annotated[str, typer.Option(help="Of the connected app; left out: drawn")] = "",
    jwt_key: Annotated[list[str] | None, typer.Option(help="PEM file that may sign assertions")] = None,
    ready_json: Annotated[bool, typer.Option(help="Print one JSON line when it answers")] = False,
) -> None:
    """A simulated Salesforce org on this machine."""
    try:
        asyncio.run(
            run(
                listen=listen,
                pubsub_listen=pubsub_listen,
                tls_dir=tls,
                seed=seed,
                workload=workload,
                faults=fault or (),
                keepalive_s=keepalive_s,
                client_id=client_id,
                client_secret=client_secret,
                jwt_keys=[_key(file) for file in jwt_key or ()],
                ready_json=ready_json,
            )
        )
    except CdcError as error:
        sys.stderr.write(error.sentence() + "\n")
        raise typer.Exit(error.exit_code) from None


def _key(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            "the key file cannot be read",
            where=f"--jwt-key {file}",
            do="name a PEM public key or certificate",
        ) from None


def main() -> None:
    """The program."""
    typer.run(simulator)
