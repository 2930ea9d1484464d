"""`cdc doctor` names what is wrong and what to do about it, one seeded fault at a time."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdc import settings as settings_module
from cdc.ports.clock import Clock
from cdc.ports.types import Millis
from cdc.roles.doctor import Finding, diagnose
from cdc.roles.doctor.finding import FAIL, WARN
from cdc.settings import Settings
from tests.conftest import free_ports
from tests.integration.living import Org, simulated_org, write_settings


@dataclass
class Ward:
    """An org, and settings that fit it, to be spoilt."""

    folder: Path
    org: Org

    def settings(self, change: Callable[[str], str] = lambda text: text) -> Settings:
        write_settings(self.folder, self.org)
        file = self.folder / "cdc.toml"
        file.write_text(change(file.read_text()))
        return settings_module.load(file, {})


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("doctor")
    with simulated_org(folder, "records = 40\n") as org:
        yield Ward(folder, org)


def found(settings: Settings, clock: Clock | None = None) -> list[Finding]:
    async def all_of() -> list[Finding]:
        return [finding async for finding in diagnose(settings, clock)]

    return asyncio.run(all_of())


def trouble(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.verdict in (FAIL, WARN)]


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text, text
        return text.replace(old, new)

    return change


def test_a_healthy_recorder_has_no_failure(ward: Ward) -> None:
    findings = found(ward.settings())
    assert [f for f in findings if f.verdict == FAIL] == []
    assert {
        "login",
        "clock",
        "API calls",
        "members",
        "/data/ChangeEvents",
        "Account",
        "log",
        "journal",
        "api",
    } <= {f.check for f in findings}


MISTAKES: dict[str, tuple[Callable[[str], str], str, str]] = {
    "an unreachable login": (lambda t: _login_at(t, free_ports(1)[0]), "salesforce", ""),
    "an unreachable event service": (lambda t: _events_at(t, free_ports(1)[0]), "/data/ChangeEvents", ""),
    "an unknown channel": (
        replaced("pubsub_tls = false", 'pubsub_tls = false\nchannels = ["/data/Nothing__chn"]'),
        "/data/Nothing__chn",
        "name",
    ),
    "an unknown channel over CometD": (
        replaced(
            "pubsub_tls = false",
            'pubsub_tls = false\ntransport = "cometd"\nchannels = ["/data/Nothing__chn"]',
        ),
        "/data/Nothing__chn",
        "name",
    ),
    "an entity that is not selected": (
        replaced("pubsub_tls = false", 'pubsub_tls = false\nentities = ["Account", "Campaign"]'),
        "Campaign",
        "select it",
    ),
    "no broker": (
        lambda t: t.replace('kind = "embedded"', 'kind = "kafka"').replace("localhost:9092", "127.0.0.1:1"),
        "kafka",
        "start the broker",
    ),
    "a log in no folder": (replaced('kind = "embedded"', 'kind = "embedded"\npath = "none/log.sqlite"'), "log", "log.path"),
    "a journal in no folder": (lambda t: t + '\n[journal]\npath = "none/journal.duckdb"\n', "journal", "journal.path"),
    "a signing key that is none": (
        lambda t: t + '\n[journal]\nsigning_key_file = "secret"\n',
        "seals",
        "signing_key_file",
    ),
    "an Alertmanager that is away": (
        lambda t: t + '\n[alerts]\nalertmanager_url = "http://127.0.0.1:1"\n',
        "alertmanager",
        "start it",
    ),
    "a webhook without its key": (
        lambda t: t + '\n[alerts]\nwebhook_url = "https://example.com/hook"\nwebhook_secret_file = "absent"\n',
        "webhook",
        "webhook_secret_file",
    ),
}  # fmt: skip


def _login_at(text: str, port: int) -> str:
    line = next(line for line in text.splitlines() if line.startswith("login_url"))
    return text.replace(line, f'login_url = "http://127.0.0.1:{port}"')


def _events_at(text: str, port: int) -> str:
    line = next(line for line in text.splitlines() if line.startswith("pubsub_endpoint"))
    return text.replace(line, f'pubsub_endpoint = "127.0.0.1:{port}"')


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_remedy(ward: Ward, mistake: str) -> None:
    change, check, remedy = MISTAKES[mistake]
    failed = [f for f in found(ward.settings(change)) if f.verdict == FAIL]
    assert check in {f.check for f in failed}, failed
    [finding] = [f for f in failed if f.check == check][:1]
    assert finding.do
    assert remedy in finding.do


def test_a_wrong_secret_is_named(ward: Ward) -> None:
    settings = ward.settings()
    (ward.folder / "secret").write_text("wrong")
    [finding] = [f for f in found(settings) if f.verdict == FAIL]
    assert "invalid" in finding.what or "refuse" in finding.what
    assert finding.do


def test_an_entity_the_user_may_not_see_is_named(ward: Ward) -> None:
    ward.org.post("/simulator/faults", {"name": "no_permission", "entity": "Case"})
    try:
        [finding] = [f for f in trouble(found(ward.settings())) if f.check == "Case"]
        assert "View All Records on Case" in finding.do
    finally:
        ward.org.call("DELETE", "/simulator/faults")


def test_a_clock_that_is_off_is_named(ward: Ward) -> None:
    ahead = Clock(wall_ms=lambda: Millis(Clock().wall_ms() + 90_000))
    [finding] = [f for f in trouble(found(ward.settings(), ahead)) if f.check == "clock"]
    assert "NTP" in finding.do


def test_a_port_that_is_taken_is_named(ward: Ward) -> None:
    settings = ward.settings()
    host, _, port = settings.api.listen.rpartition(":")
    with socket.create_server((host, int(port))):
        [finding] = [f for f in trouble(found(settings)) if f.check == "api"]
    assert "api.listen" in finding.do


def test_the_bundle_holds_neither_secrets_nor_values(ward: Ward, tmp_path: Path) -> None:
    settings = ward.settings()
    secret = (ward.folder / "secret").read_text().strip()
    command = [sys.executable, "-m", "cdc.cli", "--config", str(ward.folder / "cdc.toml"), "doctor"]
    done = subprocess.run(
        [*command, "--format", "json", "--bundle", str(tmp_path / "b.tar.gz")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    findings: list[dict[str, Any]] = json.loads(done.stdout)
    assert {f["verdict"] for f in findings} <= {"pass", "warn", "off"}
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        text = "".join(tar.extractfile(m).read().decode() for m in tar.getmembers())  # type: ignore[union-attr]
    assert secret not in text
    assert settings.org.alias in text
