"""`cdc bench STAGE --compare REV`: the same bench on another revision and on this one, one after the other, twice.

The other revision is checked out beside (`git worktree`), and runs with the packages of this environment. Turn about,
so that a machine that gets busier does not make one of them look slow.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from cdc.errors import BadArgument, StopProcess
from cdc.roles.bench.scenarios import CHECKOUT

TURNS: Final = 2
STUBS: Final = Path("schemas/eventbus/v1")


def run_compare(what: str, changes: int, revision: str, output: str | None, log: str) -> None:
    """CPU seconds a million changes of every stage, there and here. Errors: BadArgument."""
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as name:
        other = Path(name) / "other"
        done = subprocess.run(
            ["git", "worktree", "add", "--detach", str(other), revision],
            cwd=CHECKOUT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BadArgument(
                f"{revision!r:.80} is no revision of this checkout: {done.stderr.strip()[-200:]}",
                do="name a commit, a branch or a tag",
            )
        try:
            for stub in (CHECKOUT / STUBS).glob("*_pb2*"):
                shutil.copy(stub, other / STUBS)
            there, here = _figures(other, CHECKOUT, what, changes, log, Path(name))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=CHECKOUT, check=False)
    table = Table(title=f"{revision} and this revision, median of {TURNS}", title_justify="left")
    for column in ("stage", f"{revision}, CPU s per million", "here", "here / there"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    told = {}
    for stage in here:
        a, b = there.get(stage), here[stage]
        table.add_row(stage, f"{a:.1f}" if a else "", f"{b:.1f}", f"{b / a:.0%}" if a else "")
        told[stage] = {"there": a, "here": b}
    Console().print(table)
    if output:
        Path(output).write_text(json.dumps(told, indent=2) + "\n")


def _figures(
    other: Path, this: Path, what: str, changes: int, log: str, folder: Path
) -> tuple[dict[str, float], dict[str, float]]:
    found: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for turn in range(TURNS):
        for checkout, into in ((other, found[0]), (this, found[1])):
            for name, figure in _one(checkout, what, changes, log, folder / f"{turn}.json").items():
                into.setdefault(name, []).append(figure)
    there, here = ({name: statistics.median(v) for name, v in one.items()} for one in found)
    return there, here


def _one(checkout: Path, what: str, changes: int, log: str, file: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "cdc.cli", "bench", what, "--changes", str(changes), "--json", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    if log.startswith("kafka:"):
        command += ["--log", log]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StopProcess(f"the bench failed: {done.stderr.strip()[-300:]}", where=str(checkout))
    body: dict[str, Any] = json.loads(file.read_text())
    return {
        f["name"]: f["cpu_s"] * 1e6 / f["changes"] for f in [*body["stages"], *body["limits"]] if f["changes"]
    }
