"""What watches the recorder, and what a runbook says, beside a recorder that runs: real scrape, real commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.integration.living import until
from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow

OPS = Path(__file__).resolve().parents[2] / "ops"
PAGES = sorted((OPS / "runbooks").glob("Sf*.md"))
METRIC = re.compile(r"\bsf_cdc_\w+")
SELECTOR = re.compile(r"\b(sf_cdc_\w+)\{([^}]*)\}")

REPLACED = {"ENTITY": "Account"}
MORE = {"cdc drill": ["--records", "5"], "cdc snapshot": ["snapshot"]}
"""What a command needs that a page leaves to its reader."""
ALONE = {
    "cdc journal --rebuild": "it is for a journal that cannot be opened; tests/unit/journal/test_journal_rebuild.py"
}
"""Commands that are not run beside a recorder, and where they are."""
REFUSED = {"cdc drill": "this org is no sandbox", "cdc doctor": ""}
"""Commands that may end with 1 here, with what they say then."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("watched"), records=300, days=0.2) as made:
        yield made


def scrape(one: World) -> dict[str, set[str]]:
    """Metric -> names of its labels; the labels are empty where nothing was counted yet."""
    token = (one.folder / "cdc.token").read_text().strip()
    request = Request(
        f"http://{one.settings.api.listen}/metrics", headers={"Authorization": f"Bearer {token}"}
    )
    with urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            ends = ("", "_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            found.update({f"{name}{end}": set() for end in ends})
        elif not line.startswith("#"):
            name, _, labels = line.partition("{")
            found.setdefault(name.split()[0], set()).update(re.findall(r'(\w+)="', labels))
    return found


def queries() -> list[tuple[str, str]]:
    """(where, expression) of every rule and every panel."""
    groups = yaml.safe_load((OPS / "prometheus" / "rules.yaml").read_text())["groups"]
    out = [(r.get("alert") or r["record"], r["expr"]) for g in groups for r in g["rules"]]
    for file in sorted((OPS / "grafana").glob("*.json")):
        panels = json.loads(file.read_text())["panels"]
        out += [(f"{file.stem}: {p['title']}", t["expr"]) for p in panels for t in p["targets"]]
    return out


def test_every_query_finds_its_metric_on_a_live_scrape(one: World) -> None:
    until("the gauges are written", lambda: "sf_cdc_journal_bytes" in scrape(one))
    live = scrape(one)
    recorded = {name for name, _ in queries() if ":" in name}
    for where, expression in queries():
        names = set(METRIC.findall(re.sub(r"sf_cdc:[\w:]+", "", expression)))
        assert names or any(r in expression for r in recorded) or "up{" in expression, where
        assert names <= live.keys(), (where, names - live.keys())
        for name, selector in SELECTOR.findall(expression):
            asked = set(re.findall(r'(\w+)\s*[=!]~?"', selector)) - {"instance", "job"}
            assert not live[name] or asked <= live[name], (where, name, asked - live[name])


def commands() -> list[tuple[str, str]]:
    """(page, command): of the blocks, and those named in the text."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for block in re.findall(r"```\n(.*?)```", text, re.S):
            found += [(page.stem, line) for line in block.splitlines() if line.strip()]
        found += [(page.stem, one) for one in re.findall(r"`(cdc [^`]+)`", text)]
    return list(dict.fromkeys(found))


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    words = [REPLACED.get(word, word) for word in shlex.split(command)]
    words += next((more for start, more in MORE.items() if command == start), [])
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        [sys.executable, "-m", "cdc.cli", *words[1:]],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_each_command_of_the_runbooks_does_what_it_says(one: World) -> None:
    done: dict[str, int] = {}
    # An org in which nothing happens is told to have passed a moment seldom, and a verification waits for it.
    one.org.post("/simulator/drip", {"rate": 5, "seconds": 600})
    for page, command in commands():
        if command in ALONE or command in done:
            continue
        ended = run(one.folder, command)
        said = ended.stdout + ended.stderr
        assert "Traceback" not in said, (page, command, said[-2000:])
        if ended.returncode:
            assert command in REFUSED, (page, command, ended.returncode, said[-2000:])
            assert ended.returncode == 1, (page, command)
            assert REFUSED[command] in said, (page, command, said[-2000:])
        assert said.strip(), (page, command)
        done[command] = ended.returncode
    assert len(done) >= 10
    assert {"cdc status", "cdc doctor", "cdc seal", "cdc coverage"} <= done.keys()
