"""A drill on a sandbox is measured and kept, and the report says when recovery was last tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.cli.act import act
from cdc.errors import CdcError
from tests.integration.recovering import world

pytestmark = pytest.mark.slow


def test_a_drill_on_a_sandbox_is_measured_kept_and_reported(tmp_path: Path) -> None:
    with world(tmp_path, days=0.1) as one:
        tested = one.run.rows("report")[1]["answer"]
        assert "never tested" in tested
        with pytest.raises(CdcError, match="this org is no sandbox"):
            act(one.settings, "drill", records=5)
        one.org.post("/simulator/knobs", {"is_sandbox": True})

        drill = act(one.settings, "drill", records=30)
        assert drill["problem"] == ""
        assert drill["records"] == drill["equal"] == 30
        assert 0 < drill["rto_from_decision_ms"] <= drill["rto_from_detection_ms"]
        assert drill["rpo_ms"] > 0
        rows = one.org.lines("/simulator/truth/state?entity=Account")
        marked = [r for r in rows if drill["drill_id"] in (r["fields"].get("Name") or "")]
        assert len(marked) == 30
        assert all(r["is_deleted"] for r in marked)  # nothing is left behind

        assert [d["drill_id"] for d in one.run.rows("drills")] == [drill["drill_id"]]
        tested = one.run.rows("report")[1]["answer"]
        assert "sandbox drill" in tested
        assert "30 of 30 records were equal afterwards" in tested
