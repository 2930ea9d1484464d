"""Rules, dashboards and runbooks: checked by their own tools, and against the metrics and verbs that really exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from typer.testing import CliRunner

from cdc.cli.app import app
from cdc.metrics import Metrics

OPS = Path(__file__).resolve().parents[2] / "ops"
RULES = OPS / "prometheus" / "rules.yaml"
SECTIONS = ["What it means", "What users feel", "Check", "Fix", "When to call"]
METRIC = re.compile(r"\bsf_cdc_\w+")


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def metrics() -> set[str]:
    """Names as a scrape has them."""
    text = generate_latest(Metrics().registry).decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    histograms = {
        n
        for line in text.splitlines()
        if line.startswith("# TYPE") and line.endswith("histogram")
        for n in [line.split()[2]]
    }
    return names | {f"{n}{end}" for n in histograms for end in ("_bucket", "_sum", "_count")}


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool (Debian package prometheus) was not found on PATH")
    return found


def test_promtool_finds_the_rules_in_order() -> None:
    done = subprocess.run([promtool(), "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    tests = RULES.with_name("rules_test.yaml")
    done = subprocess.run([promtool(), "test", "rules", str(tests)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [(t["name"], t["alert_rule_test"][0]) for t in yaml.safe_load(tests.read_text())["tests"]]
    assert {c["alertname"] for _, c in cases if c["exp_alerts"]} == set(alerts())
    assert {c["alertname"] for _, c in cases if not c["exp_alerts"]} == set(alerts())


def test_every_metric_of_rules_and_dashboards_exists() -> None:
    known = metrics()
    recorded = {
        r["record"] for g in yaml.safe_load(RULES.read_text())["groups"] for r in g["rules"] if "record" in r
    }
    used = set(METRIC.findall(re.sub(r"sf_cdc:[\w:]+", "", RULES.read_text())))
    for file in (OPS / "grafana").glob("*.json"):
        used |= set(METRIC.findall(file.read_text()))
    used -= {name.replace(":", "_") for name in recorded}
    assert used - known == set()


@pytest.mark.parametrize("file", sorted((OPS / "grafana").glob("*.json")), ids=lambda p: p.stem)
def test_every_query_of_a_dashboard_is_understood(file: Path, tmp_path: Path) -> None:
    board = json.loads(file.read_text())
    queries = [t["expr"] for panel in board["panels"] for t in panel["targets"]]
    assert queries
    rules = [{"record": f"panel:{n}", "expr": q.replace("$instance", ".*")} for n, q in enumerate(queries)]
    made = tmp_path / "panels.yaml"
    made.write_text(yaml.safe_dump({"groups": [{"name": file.stem, "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", str(made)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {p.stem for p in (OPS / "runbooks").glob("*.md")} - {"README"}
    assert pages == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"ops/runbooks/{name}.md"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


@pytest.mark.parametrize("page", sorted((OPS / "runbooks").glob("Sf*.md")), ids=lambda p: p.stem)
def test_a_runbook_has_its_form_and_its_commands_are_verbs(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == SECTIONS
    block = re.search(r"```\n(.*?)```", text, re.S)
    assert block is not None
    for line in block[1].splitlines():
        words = shlex.split(line)
        assert words[0] == "cdc"
        verb = [words[1], "--help"]
        shown = CliRunner().invoke(app, verb)
        assert shown.exit_code == 0, line
        for option in (w for w in words[2:] if w.startswith("--")):
            assert option in shown.output, (line, option)
