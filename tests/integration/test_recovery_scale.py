"""Many records: the plan is columns, the calls are those it said, and the memory is bounded."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.integration.living import until
from tests.integration.recovering import world

pytestmark = pytest.mark.slow

RECORDS = int(os.environ.get("CDC_TEST_RESTORE_RECORDS", "2000"))
"""100,000 in the long form."""
OPPORTUNITIES_SHARE = 0.28
"""Of a simulated org's records."""
GROWTH_MB_MAX = 1_024
"""What planning and applying may add to the recorder's memory, however many records there are."""

SORTING = "SELECT tag FROM duckdb_memory() WHERE tag = 'ORDER_BY' AND memory_usage_bytes > 0"


def test_a_large_incident_is_planned_and_applied_with_the_calls_the_plan_says(tmp_path: Path) -> None:
    with world(tmp_path, records=int(RECORDS * 1.15 / OPPORTUNITIES_SHARE), days=0) as one:
        one.org.post("/simulator/clock", {"advance_ms": 60_000})
        played = one.play("runaway_flow", field="NextStep", value="wrong", records=RECORDS, chunk=2_000)
        incident = one.open(users=[played["user_id"]], from_at=played["started_at"])
        assert one.run.process is not None
        until("nothing is being sealed", lambda: not one.run.sql(SORTING), patience_s=60 + RECORDS / 200)
        peak_from_here(one.run.process.pid)  # the baseline had its own
        before_mb = _peak_mb(one.run.process.pid)
        began_s, cpu_s = time.monotonic(), _cpu_s(one.run.process.pid)
        plan = one.plan(incident)
        planned_s = time.monotonic() - began_s
        planned_cpu_s = _cpu_s(one.run.process.pid) - cpu_s
        assert plan["records"] == RECORDS
        began_s = time.monotonic()
        done = one.apply(plan)
        applied_s = time.monotonic() - began_s
        assert done["state"] == "applied", done
        assert done["counts"]["results"] == {"restored": RECORDS}
        polls = 3 * plan["bulk_jobs"]  # how often a job is looked at depends on the org
        assert abs(done["counts"]["calls"] - plan["api_calls"]) <= max(2 + polls, plan["api_calls"] * 0.05)
        growth_mb = _peak_mb(one.run.process.pid) - before_mb
        print(
            f"\n{RECORDS:,} records: plan {planned_s:.1f} s ({planned_cpu_s:.1f} s of CPU) with {plan['planning_calls']} calls; apply {applied_s:.1f} s "
            f"with {done['counts']['calls']} calls of {plan['api_calls']} planned; {growth_mb} MB more memory"
        )
        assert growth_mb < GROWTH_MB_MAX


def peak_from_here(pid: int) -> None:
    """Forget the greatest memory so far."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _cpu_s(pid: int) -> float:
    """CPU the process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return 0
