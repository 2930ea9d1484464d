"""The container file's steps in a bare Debian root: what a machine without a container engine can show of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

BARE = Path(__file__).resolve().parents[2] / "ops" / "bare"
ASKED = os.environ.get("CDC_TEST_BARE", "")
"""1, or the folder of a root that was made before."""


def script() -> ModuleType:
    loader = SourceFileLoader("bare", str(BARE))
    spec = spec_from_loader("bare", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_container_files_own_lines_are_what_is_replayed() -> None:
    stages = script().stages()
    assert [name for name, _ in stages] == ["console", "wheel", ""]
    wheel = [rest for word, rest in stages[1][1] if word == "RUN"]
    assert any("--require-hashes -r ops/requirements.lock" in line for line in wheel)
    assert any("pip wheel" in line for line in wheel)
    last = dict(stages[2][1])
    assert last["USER"] == "10001:10001"
    assert last["WORKDIR"] == "/var/lib/sf-cdc"
    assert dict(script().pairs(last["ENV"]))["PATH"] == "/opt/cdc/bin:$PATH"


def test_a_command_that_is_none_says_how_it_is_used() -> None:
    done = subprocess.run([str(BARE), "dance"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "ops/bare make DIR" in done.stderr


@pytest.mark.slow
def test_doctor_and_demo_run_in_a_bare_root_as_the_containers_user_with_a_read_only_root(
    tmp_path: Path,
) -> None:
    if not ASKED:
        pytest.skip("takes minutes and a Debian mirror: set CDC_TEST_BARE=1")
    if os.geteuid() != 0:
        pytest.skip("needs root: it mounts")
    for needed in ("debootstrap", "unshare", "chroot"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} was not found on PATH (Debian: apt-get install {needed})")
    root = tmp_path / "root" if ASKED == "1" else Path(ASKED)
    subprocess.run([str(BARE), "make", str(root)], check=True, timeout=1_500)
    done = subprocess.run(
        [str(BARE), "check", str(root)],
        env={**os.environ, "DEMO_DAYS": "2"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "user: 10001:10001" in done.stdout
    assert "root: read-only" in done.stdout
    assert "CapBnd:\t0000000000000000" in done.stdout
    assert "checks, none failed" in done.stderr
    assert "journal equals org" in done.stdout
    assert "all of it ran" in done.stdout
    if ASKED == "1":
        shutil.rmtree(root)
