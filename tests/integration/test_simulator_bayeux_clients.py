"""Bayeux clients that were not written for it use the simulated org's Streaming API unchanged: Faye and CometD's own.

They are installed from the public registries into temporary folders; only address, token and replay id are
theirs to set.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from connectors.simulator.plan import Plan
from tests.integration.simulator_client import ACCOUNTS, CHANGES, Client, simulated, touch

HERE = Path(__file__).resolve().parent
FAYE = "faye@1.4.1"
COMETD = "7.0.17"
JETTY = "11.0.24"  # the one it is built with; its JSON is an optional part
INSTALL_S = 300
RUN_S = 90

pytestmark = pytest.mark.slow

POM = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>bayeux-client</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.cometd.java</groupId><artifactId>cometd-java-client-http-jetty</artifactId>
      <version>{COMETD}</version>
    </dependency>
    <dependency>
      <groupId>org.eclipse.jetty</groupId><artifactId>jetty-util-ajax</artifactId>
      <version>{JETTY}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>2.0.17</version>
    </dependency>
  </dependencies>
</project>
"""


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} was not found on PATH")


@pytest.fixture(scope="module")
def faye(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """node_modules with Faye."""
    needs("node", "npm")
    folder = tmp_path_factory.mktemp("faye")
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", FAYE]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    if installed.returncode:
        pytest.skip(f"npm could not install Faye: {installed.stderr.strip().splitlines()[-1]}")
    return folder / "node_modules"


@pytest.fixture(scope="module")
def cometd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program, with CometD's Java client beside it."""
    needs("java", "javac", "mvn")
    folder = tmp_path_factory.mktemp("cometd")
    (folder / "pom.xml").write_text(POM)
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'jars'}"]
    brought = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    if brought.returncode:
        pytest.skip(f"Maven could not bring CometD's client: {brought.stdout.strip().splitlines()[0]}")
    source = str(HERE / "SimulatorCometd.java")
    compiler = ["javac", "-cp", f"{folder / 'jars'}/*", "-d", str(folder), source]
    subprocess.run(compiler, check=True, capture_output=True, timeout=INSTALL_S)
    return folder


async def run(*command: str) -> list[dict[str, Any]]:
    """The JSON lines a program prints."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, said = await asyncio.wait_for(process.communicate(), RUN_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()[-2000:]
    return [json.loads(line) for line in out.splitlines()]


async def run_faye(
    client: Client, modules: Path, channel: str, replay: int, count: int
) -> list[dict[str, Any]]:
    configuration = {
        "url": f"{client.url}/cometd/66.0", "token": client.token,
        "channel": channel, "replay": replay, "count": count,
    }  # fmt: skip
    return await run("node", str(HERE / "simulator_faye.mjs"), str(modules), json.dumps(configuration))


async def run_cometd(
    client: Client, folder: Path, channel: str, replay: int, count: int
) -> list[dict[str, Any]]:
    options = (f"{client.url}/cometd/66.0", client.token, channel, str(replay), str(count))
    return await run("java", "-cp", f"{folder}:{folder / 'jars'}/*", "SimulatorCometd", *options)


def record_ids(lines: list[dict[str, Any]]) -> list[list[str]]:
    """Of the events, in the order they came."""
    events = [line.get("data") or line["message"]["data"] for line in lines if line["about"] == "event"]
    return [event["payload"]["ChangeEventHeader"]["recordIds"] for event in events]


@pytest.mark.node
async def test_faye_reads_a_day_from_the_oldest_and_what_happens_while_it_listens(faye: Path) -> None:
    async with simulated(plan=Plan(users=8, records=100, changes_per_day=300, days=1)) as client:
        published = [list(event.record_ids) for event in client.org.bus._events if event.kind]  # in bus order
        listening = asyncio.ensure_future(run_faye(client, faye, CHANGES, -2, len(published) + 5))
        await asyncio.sleep(1.0)
        published += [[record_id] for record_id in touch(client, 5)]
        lines = await listening
        assert record_ids(lines) == published
        assert {line["about"] for line in lines} == {"up", "subscribed", "event", "disconnected"}


@pytest.mark.node
async def test_faye_is_told_why_a_subscription_is_refused(faye: Path) -> None:
    async with simulated() as client:
        [refused] = [
            line
            for line in await run_faye(client, faye, "/data/NoSuchEvent", -1, 0)
            if line["about"] == "refused"
        ]
        assert refused["code"] == 400
        assert "does not exist" in refused["message"]


async def test_the_java_client_subscribes_from_a_replay_id_and_disconnects(cometd: Path) -> None:
    async with simulated() as client:
        touched = touch(client, 8)
        lines = await run_cometd(client, cometd, ACCOUNTS, -2, 8)
        assert record_ids(lines) == [[record_id] for record_id in touched]
        assert lines[0]["message"]["successful"]
        assert lines[-1] == {"about": "end", "all": True, "gone": True}
        third = [line for line in lines if line["about"] == "event"][2]
        replay = third["message"]["data"]["event"]["replayId"]
        again = await run_cometd(client, cometd, ACCOUNTS, replay, 5)
        assert record_ids(again) == [[record_id] for record_id in touched[3:]]


async def test_the_java_client_shakes_hands_again_after_its_session_was_dropped(cometd: Path) -> None:
    async with simulated() as client:
        client.org.faults.set("cometd_error", error="unknown_client", on="connect", times=1)
        listening = asyncio.ensure_future(run_cometd(client, cometd, ACCOUNTS, -1, 3))
        while not listening.done():
            touch(client, 1)  # sets a phone number with the number of changes so far in it
            await asyncio.sleep(0.2)
        lines = await listening
        assert [line["about"] for line in lines if line["about"] != "event"] == [
            "handshake", "subscribe", "handshake", "subscribe", "end",
        ]  # fmt: skip
        phones = [
            int(line["message"]["data"]["payload"]["Phone"].split()[1])
            for line in lines
            if line["about"] == "event"
        ]
        assert len(phones) >= 3
        assert phones == list(range(phones[0], phones[0] + len(phones)))
