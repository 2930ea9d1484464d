"""A real Alertmanager takes, groups and ends the alerts."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from connectors.sinks.alertmanager import AlertmanagerSink
from tests.conftest import free_ports
from tests.unit.sinks.test_terminal import ALERT

CONFIG = """
route: {receiver: nobody, group_by: [org, entity], group_wait: 1s}
receivers: [{name: nobody}]
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[str]:
    """Its address; a process of its own with its files in a folder of its own."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("prometheus-alertmanager (Debian package) was not found on PATH")
    (tmp_path / "alertmanager.yml").write_text(CONFIG)
    port = free_ports(1)[0]
    process = subprocess.Popen(
        [
            program,
            f"--config.file={tmp_path}/alertmanager.yml",
            f"--storage.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                urlopen(f"{url}/-/ready", timeout=1).read()
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def active(url: str) -> list[dict[str, Any]]:
    with urlopen(f"{url}/api/v2/alerts?active=true", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


async def test_an_episode_opens_grows_becomes_a_page_and_ends(manager: str) -> None:
    sink = AlertmanagerSink(manager)
    digest = {**ALERT, "severity": "digest"}
    await sink.deliver(digest)
    await sink.deliver({**digest, "version": 2, "records": 5000, "state": "growing"})
    [one] = active(manager)
    assert one["labels"] == {
        "alertname": "SalesforceMassUpdate",
        "alert_id": "a1",
        "org": "acme",
        "severity": "digest",
        "entity": "Opportunity",
        "kind": "UPDATE",
    }
    assert one["annotations"]["records"] == "5000"
    assert one["annotations"]["summary"] == ALERT["title"]

    await sink.deliver({**ALERT, "version": 3, "severity": "page"})
    assert [a["labels"]["severity"] for a in active(manager)] == ["page"]
    await sink.refresh()
    assert len(active(manager)) == 1

    await sink.deliver({**ALERT, "version": 4, "severity": "page", "state": "closed"})
    await sink.close()
    assert active(manager) == []


async def test_amtool_reads_what_was_sent(manager: str) -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool (Debian package prometheus-alertmanager) was not found on PATH")
    sink = AlertmanagerSink(manager)
    await sink.deliver(ALERT)
    await sink.deliver({**ALERT, "alert_id": "a2", "version": 1})
    await sink.close()
    shown = subprocess.run(
        [amtool, f"--alertmanager.url={manager}", "alert", "query", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {a["labels"]["alert_id"] for a in json.loads(shown.stdout)} == {"a1", "a2"}
