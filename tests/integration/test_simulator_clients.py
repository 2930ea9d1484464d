"""Clients that were not written for it use the simulator unchanged: the Node Pub/Sub client, and jsforce.

They are installed from the npm registry into a temporary folder; only address and trust root are theirs to set.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from connectors.simulator.command import running_simulator
from connectors.simulator.plan import Plan
from connectors.simulator.server import Simulator
from connectors.simulator.truth import TrueChange

HERE = Path(__file__).resolve().parent
PACKAGES = (
    "salesforce-pubsub-api-client@5.5.2",
    "underscore@1.13.7",  # its Avro reader needs it and does not say so
)
INSTALL_S = 300
RUN_S = 120

pytestmark = [pytest.mark.node, pytest.mark.slow]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """node_modules with the clients."""
    for needed in ("node", "npm"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} was not found on PATH")
    folder = tmp_path_factory.mktemp("clients")
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    if installed.returncode:
        pytest.skip(f"npm could not install the clients: {installed.stderr.strip().splitlines()[-1]}")
    return folder / "node_modules"


async def run_node(simulator: Simulator, script: str, *arguments: str) -> list[Any]:
    """The JSON lines a script prints."""
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / script), *arguments,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": simulator.ready["ca_file"]},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, said = await asyncio.wait_for(process.communicate(), RUN_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()[-2000:]
    return [json.loads(line) for line in out.splitlines()]


async def test_the_node_client_decodes_every_event_of_a_day_as_the_truth_has_it(
    modules: Path, tmp_path: Path
) -> None:
    plan = Plan(users=10, records=200, changes_per_day=600, days=1)
    async with running_simulator(plan=plan, tls_dir=tmp_path / "tls") as simulator:
        ready = simulator.ready
        package = modules / "salesforce-pubsub-api-client"
        trust(package, Path(ready["ca_file"]))
        expected = by_event(simulator.org.truth.changes())
        configuration = {
            "authType": "oauth-client-credentials",
            "loginUrl": ready["http"],
            "clientId": ready["client_id"],
            "clientSecret": ready["client_secret"],
            "pubSubEndpoint": ready["pubsub"],
        }
        arguments = (str(package / "dist/client.js"), json.dumps(configuration), "/data/ChangeEvents")
        script = "simulator_node_subscriber.mjs"
        events = await run_node(simulator, script, *arguments, str(len(expected)))
        assert [event["id"] for event in events] == list(expected)
        for event in events:
            check(event["payload"], expected[event["id"]], simulator)


def check(payload: dict[str, Any], changes: list[TrueChange], simulator: Simulator) -> None:
    """One decoded event against the truth."""
    header, change = payload["ChangeEventHeader"], changes[0]
    assert header["entityName"] == change.entity
    assert header["recordIds"] == [one.record_id for one in changes]
    assert header["changeType"] == change.kind
    assert header["commitUser"] == change.user_id
    assert header["commitNumber"] == str(change.commit_number)
    if change.kind == "UPDATE":
        parents = {path.partition(".")[0] for path in change.changed if "." in path}
        # this client does not read the bits of a single compound where nothing else changed
        nested_only = len(parents) == 1 and all("." in path for path in change.changed)
        assert set(header["changedFields"]) == (set() if nested_only else set(change.changed))
    if change.kind in ("CREATE", "UPDATE"):
        leaves = simulator.org.entities[change.entity].leaves
        for path, value in change.changed.items():
            if "." not in path and leaves[path].avro == "string":
                assert payload[path] == value


def by_event(changes: list[TrueChange]) -> dict[str, list[TrueChange]]:
    """What was published, by event id, in order."""
    events: dict[str, list[TrueChange]] = defaultdict(list)
    for change in changes:
        if change.kind:
            events[change.event_id].append(change)
    return events


def trust(package: Path, ca_file: Path) -> None:
    """Add a root to those the client brings along, which are the only ones it knows for gRPC."""
    [roots] = (package / "dist").glob("cacert*.pem")
    with roots.open("a") as file:
        file.write("\n" + ca_file.read_text())


async def test_jsforce_reads_pages_describes_and_writes(modules: Path, tmp_path: Path) -> None:
    plan = Plan(users=10, records=1_200)
    async with running_simulator(plan=plan, tls_dir=tmp_path / "tls") as simulator:
        session = simulator.wire.sessions.open(simulator.org.integration_user_id, "test")
        [seen] = await run_node(
            simulator,
            "simulator_jsforce.mjs",
            str(modules / "jsforce/index.js"),
            simulator.ready["http"],
            session.access_token,
        )
        ids = sorted(simulator.org.entities["Contact"].records.live_ids())
        assert len(ids) > 200
        assert seen["contacts"] == ids
        assert {"Id", "BillingCity", "SystemModstamp"} <= set(seen["fields"])
        assert seen["row"] == {"Name": "Nova", "Phone": "1", "BillingCity": "Bonn"}
        assert seen["many"] == [True, False]
        assert (seen["limits"], seen["refused"]) == (100_000, "INVALID_FIELD")
        changes = simulator.org.truth.changes()
        assert [change.kind for change in changes] == ["CREATE", "UPDATE", "CREATE", "DELETE"]
        assert {change.client for change in changes} == {"Restorer"}
