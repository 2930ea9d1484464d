"""The container's files fit what they name; no container engine is needed to see that."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import yaml

from cdc import settings as settings_module
from cdc.serve.auth import Role, load_tokens
from connectors.simulator.plan import read_plan

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = ROOT / "ops" / "container"


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
    return found


def test_everything_the_container_copies_is_there_and_it_does_not_run_as_root() -> None:
    text = (CONTAINER / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    last = text.rsplit("FROM", 1)[1]
    assert "USER 10001:10001" in last
    assert "HEALTHCHECK" in last
    assert "--require-hashes" in text


def test_the_trial_is_restricted_and_its_files_are_there() -> None:
    services = compose()["services"]
    assert {"recorder", "simulator", "kafka", "prometheus", "alertmanager", "grafana"} <= services.keys()
    for name in ("recorder", "simulator"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (CONTAINER / source).exists(), volume


def test_the_trials_settings_token_and_workload_are_in_order() -> None:
    given = {"CDC__SALESFORCE__CLIENT_SECRET": "trial"}
    settings = settings_module.load(CONTAINER / "trial" / "cdc.toml", given)
    assert settings.log.kafka.bootstrap_servers == "kafka:9092"
    tokens = load_tokens(str(CONTAINER / "trial" / "tokens"), "")
    assert tokens.role("Bearer trial") is Role.ADMIN
    assert hashlib.sha256(b"trial").hexdigest() in (CONTAINER / "trial" / "tokens").read_text()
    assert read_plan(CONTAINER / "trial" / "workload.toml").scenarios[0].name == "runaway_flow"
