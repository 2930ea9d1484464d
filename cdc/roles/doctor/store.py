"""This machine: the journal's file and room, and the address of the API."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from pathlib import Path

from cdc.errors import CdcError, JournalLocked, NotFound
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.roles.build import beside_journal
from cdc.roles.doctor.finding import FAIL, OFF, PASS, WARN, Finding
from cdc.roles.offline import offline_reader
from cdc.serve.client import is_running
from cdc.settings import Settings

ROOM_WARN_BYTES = 10 * 2**30
ROOM_FAIL_BYTES = 2**30
WAL_WARN_BYTES = 2**30
"""DuckDB moves its write-ahead log into the file at 64 MB; a gigabyte means that it could not for long."""


async def check(settings: Settings, clock: Clock, metrics: Metrics) -> list[Finding]:
    return await asyncio.to_thread(_journal, settings)


def _journal(settings: Settings) -> list[Finding]:
    path = Path(beside_journal(settings))
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return [
            Finding("journal", FAIL, f"{folder} is no folder this process may write to", "set journal.path")
        ]
    found = [_opened(settings)]
    free = shutil.disk_usage(folder).free
    verdict = FAIL if free < ROOM_FAIL_BYTES else WARN if free < ROOM_WARN_BYTES else PASS
    what = f"{free / 2**30:,.1f} GiB free for the journal in {folder}"
    found.append(Finding("room", verdict, what, "make room, or move journal.path" if verdict != PASS else ""))
    wal = Path(f"{path}.wal")
    if wal.exists() and wal.stat().st_size > WAL_WARN_BYTES:
        what = f"the write-ahead log is {wal.stat().st_size / 2**30:.1f} GiB"
        found.append(Finding("journal", WARN, what, "start `cdc journal` once: it is moved into the file"))
    if settings.journal.signing_key_file:
        found.append(_key(Path(settings.journal.signing_key_file)))
    else:
        found.append(Finding("seals", OFF, "segments are not signed (journal.signing_key_file is empty)"))
    return found


async def check_api(settings: Settings, clock: Clock, metrics: Metrics) -> list[Finding]:
    listen = settings.api.listen
    if await asyncio.to_thread(is_running, settings):
        return [Finding("api", PASS, f"the recorder answers at {listen}")]
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            what = f"{listen} cannot be listened on: {error.strerror}"
            return [Finding("api", FAIL, what, "stop what uses it, or set api.listen")]
    return [Finding("api", PASS, f"{listen} is free; nothing runs")]


def _opened(settings: Settings) -> Finding:
    """Opened, where no recorder has it: which proves version and contents at once."""
    try:
        with offline_reader(settings) as reader:
            row = reader.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()
        return Finding("journal", PASS, f"{settings.journal.path}, {row[0]:,} changes")
    except NotFound:
        return Finding("journal", PASS, f"{settings.journal.path} is made at the first start")
    except JournalLocked as error:
        return Finding("journal", PASS, f"open in another process: {error.what}")
    except CdcError as error:
        return Finding("journal", FAIL, error.what, error.do)


def _key(path: Path) -> Finding:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        return Finding(
            "seals", FAIL, f"the signing key cannot be read: {error}", "set journal.signing_key_file"
        )
    if not isinstance(key, Ed25519PrivateKey):
        return Finding(
            "seals", FAIL, "the signing key is not Ed25519", "make one: openssl genpkey -algorithm ed25519"
        )
    return Finding("seals", PASS, "segments are signed")
