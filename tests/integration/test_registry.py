"""A real schema registry (Apicurio): what is recorded can be read by anybody who asks it for the schema."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from cdc.avro.columns import decode_batch
from cdc.avro.store import SchemaStore
from cdc.log.registry import SchemaRegistry
from cdc.ports.log import Checkpoint
from tests.conftest import ROOT, free_ports
from tests.unit.capture.recording import ALL, Rig, event, recording, until
from tests.unit.capture.test_records import SCHEMA

FETCH_TIMEOUT_S = 600


@pytest.fixture(scope="module")
def registry_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for needed in ("java", "mvn"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} was not found on PATH: the registry cannot be brought")
    script, data = str(ROOT / "ops/registry"), str(tmp_path_factory.mktemp("registry"))
    fetched = subprocess.run([script, "fetch"], capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
    if fetched.returncode:
        pytest.skip(f"the registry cannot be brought: {fetched.stderr.strip().splitlines()[-1]}")
    (port,) = free_ports(1)
    start = [script, "start", "--port", str(port), "--data", data, "--owner", str(os.getpid())]
    # Its process keeps the pipes of a captured output open: what it says goes into a file.
    with (Path(data) / "start.log").open("w") as said:
        subprocess.run(start, check=True, stdout=said, stderr=said, timeout=FETCH_TIMEOUT_S)
    yield f"http://127.0.0.1:{port}/apis/ccompat/v7"
    subprocess.run([script, "stop", "--data", data], check=True, capture_output=True, timeout=60)


def asked(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=30) as response:
        return json.loads(response.read())


async def test_values_are_in_the_wire_format_and_the_registry_knows_their_schemas(
    registry_url: str, tmp_path: Path
) -> None:
    changed = SCHEMA.replace('"Subject"', '"Topic"')  # renamed: incompatible by every rule but NONE

    def prepare(rig: Rig) -> None:
        rig.source.schemas["s2"] = changed

    prefix = SchemaRegistry(registry_url, "salesforce.acme").prefix
    async with recording(tmp_path, prepare=prepare, prefix=prefix, speed=20) as rig:
        await rig.source.publish(ALL, event(1), event(2, schema_id="s2"), event(3))
        await until(lambda: len(rig.event_ids()) == 3)
        records = rig.records("CaseChangeEvent")
        subject = "salesforce.acme.CaseChangeEvent-com.sforce.eventbus.CaseChangeEvent"
        assert asked(registry_url, "/subjects") == [subject]
        assert asked(registry_url, f"/config/{subject}") == {"compatibilityLevel": "NONE"}
        for record in records:
            assert record.value[0] == 0
            text = asked(registry_url, f"/schemas/ids/{int.from_bytes(record.value[1:5], 'big')}")["schema"]
            schema = fastavro.parse_schema(json.loads(text))
            read: Any = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema, None)
            assert read["ChangeEventHeader"]["recordIds"] == [record.key]
        batch = next(rig.log.batches(Checkpoint(), idle_s=0.1))
        texts = {"s1": SCHEMA, "s2": changed}
        assert decode_batch(batch, SchemaStore(texts.get)).changes.num_rows == 3


async def test_full_states_carry_the_id_of_our_own_schema(registry_url: str, tmp_path: Path) -> None:
    prefix = SchemaRegistry(registry_url, "salesforce.states").prefix
    framed = prefix("CaseChangeEvent", (ROOT / "schemas/record_state.avsc").read_text())
    subject = "salesforce.states.CaseChangeEvent-io.sfcdc.RecordState"
    assert subject in asked(registry_url, "/subjects")
    assert framed[:1] == b"\0"
