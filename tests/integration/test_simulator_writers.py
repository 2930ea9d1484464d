"""Clients that were not written for it write, load in bulk and query: simple-salesforce (Python) and jsforce (Node).

Installed from their registries into a temporary folder, unchanged; only address and trust root are theirs to set.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.simulator.command import running_simulator
from connectors.simulator.plan import Plan
from connectors.simulator.server import Simulator

HERE = Path(__file__).resolve().parent
INSTALL_S = 300
RUN_S = 180

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that simple-salesforce can be imported from."""
    folder = tmp_path_factory.mktemp("simple")
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target"]
    install([*command, str(folder), "simple-salesforce==1.12.10"], folder)
    return folder


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The main file of jsforce."""
    for needed in ("node", "npm"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} was not found on PATH")
    folder = tmp_path_factory.mktemp("jsforce")
    (folder / "package.json").write_text('{"private": true}')
    install(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "jsforce@3.10.16"], folder)
    return folder / "node_modules/jsforce/index.js"


def install(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"{command[0]} could not install the client: {last}")


async def run(simulator: Simulator, command: list[str], **environment: str) -> dict[str, Any]:
    """The JSON object a program prints."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(), RUN_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()[-2000:]
    seen = json.loads(out)
    assert isinstance(seen, dict)
    return seen


async def test_simple_salesforce_writes_loads_and_queries(python_client: Path, tmp_path: Path) -> None:
    plan = Plan(users=10, records=1_200)
    async with running_simulator(plan=plan, tls_dir=tmp_path / "tls") as simulator:
        org = simulator.org
        opportunities = sorted(org.entities["Opportunity"].records.live_ids())
        session = simulator.wire.sessions.open(org.integration_user_id, "test")
        script = str(HERE / "simulator_simple_salesforce.py")
        command = [sys.executable, script, simulator.ready["http"], session.access_token]
        ca_file = simulator.ready["ca_file"]
        seen = await run(simulator, command, PYTHONPATH=str(python_client), REQUESTS_CA_BUNDLE=ca_file)
        assert seen["row"] == {"Name": "Lind", "Phone": "1", "MailingCity": "Bonn"}
        assert (seen["upserts"], seen["account"]) == ([201, 200], "Nova Ltd")
        assert (seen["gone"], seen["refused"], seen["deleted"]) == ("ENTITY_IS_DELETED", "INVALID_FIELD", 1)
        assert set(seen["entities"]) == set(org.entities)
        assert (seen["calls"], seen["usage"]) == (100_000, True)
        assert seen["opportunities"] == opportunities
        assert seen["iterated"] == seen["grouped"] == len(opportunities)
        assert seen["searched"] == [seen["contact"]]
        assert [one["numberRecordsProcessed"] for one in seen["inserted"]] == [200, 200, 50]
        assert seen["bulk_rows"] == seen["downloaded"] == 450
        assert [one["numberRecordsFailed"] for one in seen["updated"]] == [1]
        assert len(seen["failed"]) == 1
        assert "INVALID_CROSS_REFERENCE_KEY" in seen["failed"][0]
        assert [
            one["numberRecordsFailed"] for one in (*seen["erased"], *seen["hard"], *seen["upserted"])
        ] == [0] * 3
        assert (seen["old_inserted"], seen["old_refused"]) == (30, "REQUIRED_FIELD_MISSING")
        assert (seen["old_rows"], seen["old_deleted"]) == ([["int"], 30], 30)
        kinds = Counter((change.entity, change.op, bool(change.kind)) for change in org.truth.changes())
        assert (kinds["Lead", "CREATE", True], kinds["Lead", "UPDATE", True]) == (480, 450)
        assert (kinds["Lead", "DELETE", True], kinds["Lead", "HARD_DELETE", False]) == (230, 250)
        assert {change.client for change in org.truth.changes() if change.op == "CREATE"} == {"", "LoaderPy"}


@pytest.mark.node
async def test_jsforce_logs_in_by_soap_writes_loads_undeletes_and_queries(
    node_client: Path, tmp_path: Path
) -> None:
    plan = Plan(users=10, records=1_200)
    async with running_simulator(plan=plan, tls_dir=tmp_path / "tls") as simulator:
        ready, org = simulator.ready, simulator.org
        script = str(HERE / "simulator_jsforce_writes.mjs")
        arguments = [str(node_client), ready["http"], ready["username"], ready["password"]]
        seen = await run(simulator, ["node", script, *arguments], NODE_EXTRA_CA_CERTS=ready["ca_file"])
        assert (seen["user"], seen["organization"]) == (org.integration_user_id, org.org_id)
        assert (seen["identity"], seen["phone"], seen["many"]) == (ready["username"], "1", 250)
        assert [one["created"] for one in seen["upserted"]] == [True]
        assert [one["success"] for one in seen["destroyed"]] == [True, False]
        assert [one["success"] for one in seen["undeleted"]] == [True]
        assert (seen["global"], seen["nested"], seen["found"]) == (len(org.entities), 5, 3)
        assert (seen["composite"], seen["sameParent"]) == ([201, 201, 200], True)
        assert seen["loaded"] == [299, 1, 0]
        assert seen["failure"].startswith("REQUIRED_FIELD_MISSING:")
        assert seen["queried"] == 299
        assert (seen["old"], seen["oldQueried"]) == ([True, True, False], 2)
        changes = org.truth.changes()
        assert [change.kind for change in changes if change.kind == "UNDELETE"] == ["UNDELETE"]
        assert {change.client for change in changes} >= {"LoaderJs"}
