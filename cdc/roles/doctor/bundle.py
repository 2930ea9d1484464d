"""A support bundle: what somebody who helps needs to know, without secrets and without values of any field."""

from __future__ import annotations

import io
import json
import platform
import tarfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from cdc import __version__
from cdc.errors import CdcError
from cdc.roles.doctor.finding import Finding
from cdc.roles.offline import offline_reader
from cdc.serve.client import ask_running, is_running
from cdc.serve.questions import QUESTIONS
from cdc.settings import Settings, shown

QUESTIONS_ASKED = ("status", "coverage")
"""Neither holds a value, a name or a record id of the org but those of records that are unknown, which are dropped."""
PACKAGES = (
    "duckdb",
    "confluent-kafka",
    "grpcio",
    "pyarrow",
    "pyruhvro",
    "fastavro",
    "aiohttp",
    "aiosfstream-ng",
)


def write_bundle(path: Path, settings: Settings, findings: Iterable[Finding]) -> list[str]:
    """A tar.gz of JSON files; returns their names."""
    files: dict[str, Any] = {
        "findings.json": [asdict(finding) for finding in findings],
        "settings.json": shown(settings),
        "machine.json": _machine(),
    }
    for name in QUESTIONS_ASKED:
        with suppress(CdcError):
            files[f"{name}.json"] = _without_records(_asked(settings, name))
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            body = json.dumps(content, indent=2, default=str).encode()
            entry = tarfile.TarInfo(f"sf-cdc-bundle/{name}")
            entry.size, entry.mtime = len(body), int(time.time())
            tar.addfile(entry, io.BytesIO(body))
    return sorted(files)


def _asked(settings: Settings, name: str) -> dict[str, Any]:
    if is_running(settings):
        return ask_running(settings, QUESTIONS[name], {})
    with offline_reader(settings) as reader:
        return QUESTIONS[name].answer(reader, {})


def _without_records(answer: dict[str, Any]) -> dict[str, Any]:
    columns = answer["columns"]
    if "record_id" not in columns:
        return answer
    at = columns.index("record_id")
    return {**answer, "rows": [row for row in answer["rows"] if row[at] is None]}


def _machine() -> dict[str, Any]:
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return {
        "version": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": found,
    }
