"""A PostgreSQL of a test's own, on a free port of the loopback address."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_ports


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A connection string; the server ends with the block, its data with the folder."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL was not found (Debian package postgresql)")
    programs, (port,) = found[-1].parent, free_ports(1)
    is_root = os.geteuid() == 0
    as_user = ["runuser", "-u", "postgres", "--"] if is_root else []
    home = Path("/tmp") / f"cdc-postgres-{port}"
    home.mkdir(mode=0o700)
    if is_root:
        shutil.chown(home, "postgres")
    log = folder / "postgres.log"

    def run(program: str, *arguments: str) -> None:
        with log.open("a") as out:
            subprocess.run(
                [*as_user, str(programs / program), *arguments], check=True, stdout=out, stderr=out, cwd="/"
            )

    try:
        run("initdb", "-D", str(home / "data"), "-A", "trust", "-U", "postgres", "--no-sync")
        options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-D", str(home / "data"), "-o", options, "-l", str(home / "log"), "-w", "start")
        try:
            yield f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        finally:
            run("pg_ctl", "-D", str(home / "data"), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
