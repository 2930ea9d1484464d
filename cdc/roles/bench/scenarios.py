"""`cdc bench scenarios`: the detector on labelled streams, beside other methods."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cdc.errors import BadArgument, StopProcess

CHECKOUT = Path(__file__).resolve().parents[3]
SMALL = ("--orgs", "small", "--seeds", "reported", "--parts", "0,1,2", "--rivals")
"""A part of the whole; `python -m tests.scenario.suite --help` tells how to run all of it."""


def run_scenarios() -> None:
    """Run the suite of the checkout and print its tables. Errors: BadArgument where there is no checkout."""
    if not (CHECKOUT / "tests" / "scenario" / "suite.py").exists():
        raise BadArgument(
            "The scenarios are part of the checkout, not of the installed package",
            do="clone the repository and run ./ops/bench scenarios",
        )
    command = [sys.executable, "-m", "tests.scenario.suite", *SMALL]
    if subprocess.run(command, cwd=CHECKOUT, check=False).returncode:
        raise StopProcess("the scenarios did not run to their end", where="tests/scenario")
