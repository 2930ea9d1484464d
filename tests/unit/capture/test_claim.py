"""One log records one org: whoever logs in to another one is stopped before anything of it is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import OtherOrg
from cdc.log.origin import ORIGIN_KEY, Origin
from cdc.ports.types import SchemaId
from tests.unit.capture.recording import ALL, Rig, event, recording, until

MINE, OTHER = "00D000000000001EAA", "00D000000000002EAA"


def of_org(org_id: str) -> object:
    async def said() -> str:
        return org_id

    def prepare(rig: Rig) -> None:
        rig.recorder.org_id = said

    return prepare


async def record_one(folder: Path, number: int, org_id: str, rig: Rig | None = None) -> Rig:
    async with recording(folder, rig=rig, prepare=of_org(org_id)) as rig:  # type: ignore[arg-type]
        await rig.source.publish(ALL, event(number))
        await until(lambda: f"e{number}" in rig.event_ids())
        told = Origin.of(rig.log.schema(SchemaId(ORIGIN_KEY)) or "")
        assert told.org_id == org_id
    return rig


async def test_a_login_to_another_org_stops_with_both_orgs_named_and_records_nothing(tmp_path: Path) -> None:
    rig = await record_one(tmp_path, 1, MINE)
    rig = await record_one(tmp_path, 2, MINE, rig)
    async with recording(tmp_path, rig=rig, prepare=of_org(OTHER)) as rig:  # type: ignore[arg-type]
        await rig.source.publish(ALL, event(3))
        with pytest.raises(OtherOrg, match=OTHER):
            await rig.ended()
        assert rig.event_ids() == ["e1", "e2"]


async def test_a_log_from_before_takes_the_org_that_is_logged_in_to(tmp_path: Path) -> None:
    async with recording(tmp_path) as rig:
        await rig.source.publish(ALL, event(1))
        await until(lambda: "e1" in rig.event_ids())
    await record_one(tmp_path, 2, MINE, rig)
